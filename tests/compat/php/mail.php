<?php
// PHP's own mail(): mail.php [FROM-PARAMETER]. The body comes from standard input.
$body = stream_get_contents(STDIN);
$headers = "From: Shop <shop@example.com>\r\nBcc: audit@example.net\r\nContent-Type: text/plain; charset=UTF-8";
$taken = mail('customer@example.org', '=?UTF-8?B?R3LDvMOfZQ==?=', $body, $headers, $argv[1] ?? '');
echo $taken ? "true\n" : "false\n";
