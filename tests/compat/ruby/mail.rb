# The mail gem, as Rails uses it: mail.rb SENDMAIL. The body comes from standard input.
require 'mail'

text = $stdin.read
message = Mail.new do
  from 'Shop <shop@example.com>'
  to 'customer@example.org'
  bcc 'audit@example.net'
  subject 'Grüße'
  body text
end
message.charset = 'UTF-8'
message.delivery_method :sendmail, location: ARGV[0]
begin
  message.deliver!
  puts 'sent'
rescue StandardError => e
  puts "raised: #{e.message}"
end
