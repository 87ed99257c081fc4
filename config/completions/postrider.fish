# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_postrider_global_optspecs
    string join \n config= h/help V/version
end

function __fish_postrider_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_postrider_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_postrider_using_subcommand
    set -l cmd (__fish_postrider_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c postrider -n "__fish_postrider_needs_command" -l config -d 'Read this configuration instead of ~/.config/postrider/postrider.toml or /etc/postrider/postrider.toml' -r -F
complete -c postrider -n "__fish_postrider_needs_command" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_needs_command" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "sendmail" -d 'Send the message on standard input, as the program does that is called sendmail'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "msmtp" -d 'Send as the program does that is called msmtp, with its options and its files'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "explain" -d 'Show which sender takes the message on standard input, why, what is rewritten, and the envelope; send nothing'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "check" -d 'Look at everything that keeps mail from being sent, and say what mends it: the configuration and what it names, and (unless --config names one) the machine around it. Status 0: all is well, 1: warnings, 2: errors'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "test" -d 'Go with each sender as far as a delivery would go before the message, and show the time of every step'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "setup" -d 'Make a sender: ask for provider, address and password, try the login, write its files'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "serve" -d 'Run the daemon in the foreground: sendmail hands messages over to it, and it keeps and delivers them'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "queue" -d 'Look at the queue, and do something to messages in it'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "status" -d 'Show whether the daemon runs, how much it holds, and which senders wait'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "senders" -d 'Show the senders: the use of their limits, what they have to do, what keeps them back'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "stats" -d 'Show what became of messages: sent, put off, failed, by sender and reason, and how long it took'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "passwd" -d 'Read a password and print the [[user]] that may log in with it'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "reload" -d 'Have the daemon read its configuration again; a faulty one changes nothing'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "import" -d 'Print a postrider.toml made from another program\'s configuration; nothing of it is executed'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "try" -d 'Try everything out on this machine alone: an SMTP server on loopback, two senders, real messages'
complete -c postrider -n "__fish_postrider_using_subcommand check" -l root -d 'Look at the machine below this directory (a container, an image) instead of the running one' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand check" -l resolver -d 'Ask this name server instead of the system\'s (192.0.2.1:53)' -r
complete -c postrider -n "__fish_postrider_using_subcommand check" -l parse-only -d 'Read the configuration files alone: not the secrets, certificates and logs that they name'
complete -c postrider -n "__fish_postrider_using_subcommand check" -l dns -d 'Ask DNS whether mail for the domains of the [[listen]] blocks finds the way to this machine'
complete -c postrider -n "__fish_postrider_using_subcommand check" -l json -d 'One JSON object a line'
complete -c postrider -n "__fish_postrider_using_subcommand check" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand test" -l send-to -d 'Send a real message there too, and follow it to the server\'s reply' -r
complete -c postrider -n "__fish_postrider_using_subcommand test" -l resolver -d 'Ask this name server instead of the system\'s (192.0.2.1:53)' -r
complete -c postrider -n "__fish_postrider_using_subcommand test" -l sends-from -d 'Evaluate SPF for mail from this address, as receivers see it (192.0.2.7)' -r
complete -c postrider -n "__fish_postrider_using_subcommand test" -l all -d 'All of them'
complete -c postrider -n "__fish_postrider_using_subcommand test" -l dns -d 'Look at SPF, DKIM and DMARC of the senders\' domains'
complete -c postrider -n "__fish_postrider_using_subcommand test" -l json -d 'One JSON object a line'
complete -c postrider -n "__fish_postrider_using_subcommand test" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand setup" -l provider -d 'A provider by name, or `other`' -r
complete -c postrider -n "__fish_postrider_using_subcommand setup" -l address -d 'The From address; the login too, unless --user gives another' -r
complete -c postrider -n "__fish_postrider_using_subcommand setup" -l name -d 'The sender\'s name; the address where none is given' -r
complete -c postrider -n "__fish_postrider_using_subcommand setup" -l server -d 'The server, where it is not the provider\'s: smtps://host, smtp://host' -r
complete -c postrider -n "__fish_postrider_using_subcommand setup" -l region -d 'The provider\'s region, where it has some (ses)' -r
complete -c postrider -n "__fish_postrider_using_subcommand setup" -l user -d 'The login, where it is not the address' -r
complete -c postrider -n "__fish_postrider_using_subcommand setup" -l password-file -d 'Use this password file, where it is' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand setup" -l group -d 'A group that may read the password, for programs that send without the daemon (www-data)' -r
complete -c postrider -n "__fish_postrider_using_subcommand setup" -l ca-file -d 'Trust these certificate authorities in place of the system\'s, for a server of one\'s own' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand setup" -l password-stdin -d 'Read the password from standard input'
complete -c postrider -n "__fish_postrider_using_subcommand setup" -l no-test -d 'Do not try the login'
complete -c postrider -n "__fish_postrider_using_subcommand setup" -l dry-run -d 'Show what would be written, and write nothing'
complete -c postrider -n "__fish_postrider_using_subcommand setup" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand serve" -l socket -d 'Listen here instead of /run/postrider/submit.sock' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand serve" -l drain -d 'Before it ends, try everything that is queued once more, for at most this long: 8s, 1m' -r
complete -c postrider -n "__fish_postrider_using_subcommand serve" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and not __fish_seen_subcommand_from list show retry hold release delete bounce salvage" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and not __fish_seen_subcommand_from list show retry hold release delete bounce salvage" -f -a "list" -d 'List messages, as mailq does'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and not __fish_seen_subcommand_from list show retry hold release delete bounce salvage" -f -a "show" -d 'Show everything about messages'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and not __fish_seen_subcommand_from list show retry hold release delete bounce salvage" -f -a "retry" -d 'Try to deliver messages now'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and not __fish_seen_subcommand_from list show retry hold release delete bounce salvage" -f -a "hold" -d 'Keep messages from being delivered until they are released'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and not __fish_seen_subcommand_from list show retry hold release delete bounce salvage" -f -a "release" -d 'Let messages go on that are on hold'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and not __fish_seen_subcommand_from list show retry hold release delete bounce salvage" -f -a "delete" -d 'Take messages out of the queue without a word to anybody'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and not __fish_seen_subcommand_from list show retry hold release delete bounce salvage" -f -a "bounce" -d 'Send messages back to their senders'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and not __fish_seen_subcommand_from list show retry hold release delete bounce salvage" -f -a "salvage" -d 'Bring back mail that was set aside when a queue was damaged, or what can be read of another queue'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from list" -l sender -d 'Messages whose sender (its name, the From or the envelope sender) contains TEXT' -r
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from list" -l recipient -d 'Messages with a recipient that contains TEXT' -r
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from list" -l older-than -d 'Messages that were accepted longer ago than this: 30m, 12h, 2d' -r
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from list" -l state -d 'Messages in this state' -r -f -a "new\t'Its first attempt'
deferred\t'Another attempt'
held\t'Somebody or something to release it'"
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from list" -l held -d 'Messages on hold: the same as --state held'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from list" -l json -d 'One JSON object a line'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from show" -l sender -d 'Messages whose sender (its name, the From or the envelope sender) contains TEXT' -r
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from show" -l recipient -d 'Messages with a recipient that contains TEXT' -r
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from show" -l older-than -d 'Messages that were accepted longer ago than this: 30m, 12h, 2d' -r
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from show" -l state -d 'Messages in this state' -r -f -a "new\t'Its first attempt'
deferred\t'Another attempt'
held\t'Somebody or something to release it'"
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from show" -l held -d 'Messages on hold: the same as --state held'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from show" -l json -d 'One JSON object a line'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from retry" -l sender -d 'Messages whose sender (its name, the From or the envelope sender) contains TEXT' -r
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from retry" -l recipient -d 'Messages with a recipient that contains TEXT' -r
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from retry" -l older-than -d 'Messages that were accepted longer ago than this: 30m, 12h, 2d' -r
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from retry" -l state -d 'Messages in this state' -r -f -a "new\t'Its first attempt'
deferred\t'Another attempt'
held\t'Somebody or something to release it'"
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from retry" -l held -d 'Messages on hold: the same as --state held'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from retry" -l all -d 'Every message'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from retry" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from hold" -l sender -d 'Messages whose sender (its name, the From or the envelope sender) contains TEXT' -r
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from hold" -l recipient -d 'Messages with a recipient that contains TEXT' -r
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from hold" -l older-than -d 'Messages that were accepted longer ago than this: 30m, 12h, 2d' -r
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from hold" -l state -d 'Messages in this state' -r -f -a "new\t'Its first attempt'
deferred\t'Another attempt'
held\t'Somebody or something to release it'"
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from hold" -l reason -d 'Why, for whoever looks at the queue' -r
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from hold" -l held -d 'Messages on hold: the same as --state held'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from hold" -l all -d 'Every message'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from hold" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from release" -l sender -d 'Messages whose sender (its name, the From or the envelope sender) contains TEXT' -r
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from release" -l recipient -d 'Messages with a recipient that contains TEXT' -r
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from release" -l older-than -d 'Messages that were accepted longer ago than this: 30m, 12h, 2d' -r
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from release" -l state -d 'Messages in this state' -r -f -a "new\t'Its first attempt'
deferred\t'Another attempt'
held\t'Somebody or something to release it'"
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from release" -l held -d 'Messages on hold: the same as --state held'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from release" -l all -d 'Every message'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from release" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from delete" -l sender -d 'Messages whose sender (its name, the From or the envelope sender) contains TEXT' -r
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from delete" -l recipient -d 'Messages with a recipient that contains TEXT' -r
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from delete" -l older-than -d 'Messages that were accepted longer ago than this: 30m, 12h, 2d' -r
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from delete" -l state -d 'Messages in this state' -r -f -a "new\t'Its first attempt'
deferred\t'Another attempt'
held\t'Somebody or something to release it'"
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from delete" -l held -d 'Messages on hold: the same as --state held'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from delete" -l all -d 'Every message'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from delete" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from bounce" -l sender -d 'Messages whose sender (its name, the From or the envelope sender) contains TEXT' -r
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from bounce" -l recipient -d 'Messages with a recipient that contains TEXT' -r
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from bounce" -l older-than -d 'Messages that were accepted longer ago than this: 30m, 12h, 2d' -r
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from bounce" -l state -d 'Messages in this state' -r -f -a "new\t'Its first attempt'
deferred\t'Another attempt'
held\t'Somebody or something to release it'"
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from bounce" -l held -d 'Messages on hold: the same as --state held'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from bounce" -l all -d 'Every message'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from bounce" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from salvage" -l json -d 'Print one JSON object'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from salvage" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c postrider -n "__fish_postrider_using_subcommand status" -l json -d 'As one JSON object'
complete -c postrider -n "__fish_postrider_using_subcommand status" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand senders; and not __fish_seen_subcommand_from pause resume reset" -l json -d 'One JSON object a line'
complete -c postrider -n "__fish_postrider_using_subcommand senders; and not __fish_seen_subcommand_from pause resume reset" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand senders; and not __fish_seen_subcommand_from pause resume reset" -a "pause" -d 'Let nothing of a sender go until it is resumed; its messages wait and do not grow older'
complete -c postrider -n "__fish_postrider_using_subcommand senders; and not __fish_seen_subcommand_from pause resume reset" -a "resume" -d 'Let a sender go on at once, whoever or whatever paused it'
complete -c postrider -n "__fish_postrider_using_subcommand senders; and not __fish_seen_subcommand_from pause resume reset" -a "reset" -d 'Count the limits of a sender, or a shared limit, from 0 again'
complete -c postrider -n "__fish_postrider_using_subcommand senders; and __fish_seen_subcommand_from pause" -l for -d 'Only for so long: 30m, 2h, 1d' -r
complete -c postrider -n "__fish_postrider_using_subcommand senders; and __fish_seen_subcommand_from pause" -l reason -d 'Why, for whoever looks at it' -r
complete -c postrider -n "__fish_postrider_using_subcommand senders; and __fish_seen_subcommand_from pause" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand senders; and __fish_seen_subcommand_from resume" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand senders; and __fish_seen_subcommand_from reset" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand stats" -l since -d 'For so long (24h, 7d), or from a day on (2026-11-01)' -r
complete -c postrider -n "__fish_postrider_using_subcommand stats" -l json -d 'As one JSON object'
complete -c postrider -n "__fish_postrider_using_subcommand stats" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand passwd" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand reload" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand import" -l write -d 'Write postrider.toml and the files with passwords there [without DIR: /etc/postrider]' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand import" -l owner -d 'bitrix: sender rows of this user number belong to this Unix user (may be repeated)' -r
complete -c postrider -n "__fish_postrider_using_subcommand import" -l force -d 'With --write: replace files that are there'
complete -c postrider -n "__fish_postrider_using_subcommand import" -l json -d 'The findings as one JSON object, in place of the configuration'
complete -c postrider -n "__fish_postrider_using_subcommand import" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c postrider -n "__fish_postrider_using_subcommand try" -s h -l help -d 'Print help'
