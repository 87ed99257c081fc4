;; Emacs: message-mode (Gnus, M-x compose-mail) or mail-mode, with COMPAT_WAY, SENDMAIL and COMPAT_BODY.
(require 'message)
(require 'sendmail)
(setq inhibit-message t
      sendmail-program (getenv "SENDMAIL")
      user-mail-address "shop@example.com"
      user-full-name "Shop"
      mail-from-style 'angles
      send-mail-function 'sendmail-send-it
      message-send-mail-function 'message-send-mail-with-sendmail
      message-interactive t
      mail-interactive t)
(condition-case problem
    (progn
      (with-temp-buffer
        (insert "From: Shop <shop@example.com>\nTo: customer@example.org\nBcc: audit@example.net\nSubject: hello\n"
                mail-header-separator "\n" (getenv "COMPAT_BODY"))
        (if (equal (getenv "COMPAT_WAY") "message")
            (progn (message-mode) (message-send-mail))
          (sendmail-send-it)))
      (princ "sent\n"))
  (error (princ (format "error: %s\n" (error-message-string problem)))))
