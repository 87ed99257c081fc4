<?php
return array (
  'utf_mode' => array ('value' => true, 'readonly' => true),
  'cache' => array ('value' => array ('sid' => $_SERVER["DOCUMENT_ROOT"]."#01")),
  'smtp' =>
  array (
    'value' =>
    array (
      'enabled' => true,
      'debug' => true, // for the support
      'log_file' => "/home/bitrix/www/mail.log",
      'host' => 'smtp.example.com',
      'port' => 587,
      'encryption_type' => 'tls',
      'login' => 'robot@example.com',
      'password' => 'tan\'staaf',
      'from' => 'robot@example.com',
      'force_from' => true,
      'connection_timeout' => 10,
    ),
    'readonly' => false,
  ),
  'crypto' => ['value' => ['crypto_key' => "k3y of the site"], 'readonly' => true],
);
