<?php
// Installs WordPress as its own page would; its greeting to the administrator is not sent.
define('WP_INSTALLING', true);
$_SERVER['HTTP_HOST'] = $_SERVER['SERVER_NAME'] = 'blog.example.com';
$_SERVER['REQUEST_URI'] = '/';
require '/var/www/html/wp-load.php';
require ABSPATH . 'wp-admin/includes/upgrade.php';
add_filter('pre_wp_mail', '__return_true');
wp_install('The Blog', 'admin', 'admin@example.com', false, '', 'a password');
