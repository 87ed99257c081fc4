// nodemailer's sendmail transport: nodemailer.js MODULE SENDMAIL. The body comes from standard input.
const nodemailer = require(process.argv[2]);

const transport = nodemailer.createTransport({ sendmail: true, path: process.argv[3], newline: 'unix' });
const message = {
  from: 'Shop <shop@example.com>',
  to: 'customer@example.org',
  bcc: 'audit@example.net',
  subject: 'Grüße',
  text: require('fs').readFileSync(0, 'utf8'),
};
transport.sendMail(message, (error) => console.log(error ? `error: ${error.message}` : 'sent'));
