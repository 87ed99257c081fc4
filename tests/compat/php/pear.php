<?php
// PEAR Mail: pear.php SENDMAIL. The body comes from standard input.
error_reporting(E_ALL & ~E_DEPRECATED);
require_once 'Mail.php';

$mailer = Mail::factory('sendmail', ['sendmail_path' => $argv[1]]);
$header = ['From' => 'Shop <shop@example.com>', 'To' => 'customer@example.org', 'Subject' => 'hello'];
$taken = $mailer->send(['customer@example.org', 'audit@example.net'], $header, stream_get_contents(STDIN));
echo $taken === true ? "true\n" : 'error: ' . $taken->getMessage() . "\n";
