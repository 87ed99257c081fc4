<?php
/** The base configuration for WordPress */
define( 'DB_PASSWORD', getenv('DB') . 'x' );
define( 'WPMS_ON', true );
define( 'WPMS_MAIL_FROM', 'news@example.com' );
define( 'WPMS_MAIL_FROM_NAME', "The \"News\"" );
define( 'WPMS_SMTP_HOST', 'smtp.example.com' ); // The SMTP mail host.
define( 'WPMS_SMTP_PORT', 465 );
define( 'WPMS_SSL', 'ssl' );
define( 'WPMS_SMTP_AUTH', true );
define( 'WPMS_SMTP_USER', 'news' );
define( 'WPMS_SMTP_PASS', 'tan\'sta"af' );
define( 'WPMS_SMTP_AUTOTLS', true );
# define( 'WPMS_SMTP_HOST', 'other.example.com' );
require_once ABSPATH . 'wp-settings.php';
