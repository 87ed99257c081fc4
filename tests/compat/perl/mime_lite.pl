# MIME::Lite: mime_lite.pl SENDMAIL. The body comes from standard input.
use strict;
use warnings;
use MIME::Lite;

my $message = MIME::Lite->new(
    From     => 'Shop <shop@example.com>',
    To       => 'customer@example.org',
    Bcc      => 'audit@example.net',
    Subject  => 'hello',
    Type     => 'TEXT',
    Encoding => '8bit',
    Data     => do { local $/; <STDIN> },
);
my $taken = eval { $message->send('sendmail', Sendmail => $ARGV[0]) };
print $taken ? "sent\n" : 'died: ' . ($@ || 'false') . "\n";
