<?php
// Symfony Mailer, as Laravel uses it too: symfony.php COMMAND. The body comes from standard input.
require '/usr/share/php/Symfony/Component/Mailer/autoload.php';

use Symfony\Component\Mailer\Mailer;
use Symfony\Component\Mailer\Transport\SendmailTransport;
use Symfony\Component\Mime\Address;
use Symfony\Component\Mime\Email;

$message = (new Email())
    ->from(new Address('shop@example.com', 'Shop'))
    ->to('customer@example.org')
    ->bcc('audit@example.net')
    ->subject('Grüße')
    ->text(stream_get_contents(STDIN));
try {
    (new Mailer(new SendmailTransport($argv[1])))->send($message);
    echo "sent\n";
} catch (Exception $exception) {
    echo 'exception: ', $exception->getMessage(), "\n";
}
