# Email::Sender::Transport::Sendmail: email_sender.pl SENDMAIL. The body comes from standard input.
use strict;
use warnings;
use Email::Sender::Simple qw(sendmail);
use Email::Sender::Transport::Sendmail;
use Email::Simple;

my $header = [ From => 'Shop <shop@example.com>', To => 'customer@example.org', Subject => 'hello' ];
my $message = Email::Simple->create(header => $header, body => do { local $/; <STDIN> });
my $transport = Email::Sender::Transport::Sendmail->new(sendmail => $ARGV[0]);
my $taken = eval { sendmail($message, { transport => $transport }) };
print $taken ? "sent\n" : 'died: ' . $@->message . "\n";
