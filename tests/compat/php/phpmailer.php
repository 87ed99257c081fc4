<?php
// PHPMailer: phpmailer.php mail|sendmail [SENDMAIL]. The body comes from standard input.
require '/usr/share/php/libphp-phpmailer/autoload.php';

use PHPMailer\PHPMailer\PHPMailer;

$mailer = new PHPMailer(true);
if ($argv[1] === 'mail') {
    $mailer->isMail();
} else {
    ini_set('sendmail_path', $argv[2]);
    $mailer->isSendmail();
}
$mailer->CharSet = 'UTF-8';
$mailer->setFrom('shop@example.com', 'Shop');
$mailer->addAddress('customer@example.org', 'Jörg Customer');
$mailer->addBCC('audit@example.net');
$mailer->Subject = 'Grüße';
$mailer->Body = stream_get_contents(STDIN);
try {
    echo $mailer->send() ? "true\n" : "false\n";
} catch (Exception $exception) {
    echo 'exception: ', $exception->getMessage(), "\n";
}
