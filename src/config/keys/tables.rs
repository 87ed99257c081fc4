//! The tables of postrider.toml themselves: every key with what it takes, its default and its meaning. Data only.

use super::{Key, Table};

const fn key(name: &'static str, takes: &'static str, default: &'static str, help: &'static str) -> Key {
    Key { name, takes, default, help }
}

/// What a key takes.
const TEXT: &str = "string";
const LIST: &str = "string or list of strings";
const SWITCH: &str = "true or false";
const TIME: &str = "duration";
const SIZE: &str = "size";
const NUMBER: &str = "number";
const PATH: &str = "path";

/// Every table of the main file.
pub static TABLES: &[Table] = &[
    Table { head: "", help: "At the top of the file, before the first table.", keys: TOP, account: false },
    Table { head: "[log]", help: "Where the log goes.", keys: LOG, account: false },
    Table {
        head: "[queue]",
        help: "What is kept, for how long, and when it is tried again.",
        keys: QUEUE,
        account: false,
    },
    Table {
        head: "[default]",
        help: "The default relay: where mail goes that no sender claims. Without this table an msmtprc is used where \
               there is one; otherwise such mail is refused.",
        keys: DEFAULT,
        account: true,
    },
    Table {
        head: "[[sender]]",
        help: "A sender: an SMTP account and the From addresses that it serves. As many as are wanted; their order has \
               no meaning. They may also stand in files senders.d/*.toml beside the main file.",
        keys: SENDER,
        account: true,
    },
    Table {
        head: "limits = [{ ... }]",
        help: "In a sender: at most so many in so long. Several hold at once.",
        keys: WINDOW,
        account: false,
    },
    Table {
        head: "timeouts = { ... }",
        help: "Time limits of a delivery: connect, data_end and total, and command for every other phase that has none \
               of its own.",
        keys: TIMEOUTS,
        account: false,
    },
    Table {
        head: "password = { ... }",
        help: "Where a password comes from, when it is needed; exactly one of these. client_password takes the same.",
        keys: PASSWORD,
        account: false,
    },
    Table { head: "[limits]", help: "How limits are counted.", keys: LIMITS, account: false },
    Table {
        head: "[[limit]]",
        help: "A limit that several senders share, counted together with their own.",
        keys: SHARED,
        account: false,
    },
    Table {
        head: "[[bulk]]",
        help: "Which mail is bulk mail, which single mail of the same sender overtakes. All that a rule says must fit.",
        keys: BULK,
        account: false,
    },
    Table {
        head: "[brake]",
        help: "The runaway brake of the daemon: of more messages than this from one script or user, the rest is kept but \
               held, until postrider queue release.",
        keys: BRAKE,
        account: false,
    },
    Table {
        head: "[[brake.except]]",
        help: "Another number for a script or a user. The first that fits holds.",
        keys: EXCEPT,
        account: false,
    },
    Table {
        head: "replies = [{ ... }]",
        help: "In a sender or [default]: what its server's replies mean. The rule that says most holds.",
        keys: REPLY,
        account: false,
    },
    Table {
        head: "[[reply]]",
        help: "The same for the replies of all servers; replies of a sender win.",
        keys: REPLY,
        account: false,
    },
    Table {
        head: "[staging]",
        help: "On a copy of a live site: nothing leaves for real recipients, whatever the senders say.",
        keys: STAGING,
        account: false,
    },
    Table {
        head: "[msmtp]",
        help: "Called as msmtp. The one in /etc/postrider/postrider.toml holds, for all users who can read that file.",
        keys: MSMTP,
        account: false,
    },
    Table {
        head: "[[listen]]",
        help: "An SMTP listener of the daemon, for programs that know no sendmail. A reload opens and closes them.",
        keys: LISTEN,
        account: false,
    },
    Table {
        head: "timeouts = { ... } of [[listen]]",
        help: "Time limits of a listener's connections.",
        keys: LISTEN_TIMEOUTS,
        account: false,
    },
    Table {
        head: "[[user]]",
        help: "Who may log in at a listener. postrider passwd prints such a table.",
        keys: USER,
        account: false,
    },
    Table {
        head: "[rules]",
        help: "What holds of all rules that sort mail for this machine.",
        keys: RULES,
        account: false,
    },
    Table {
        head: "[[rule]]",
        help: "Where mail goes that comes in, and mail for local names: the rules in their order, for each recipient. All \
               conditions must hold; of a list one is enough.",
        keys: RULE,
        account: false,
    },
    Table {
        head: "not = { ... } of [[rule]]",
        help: "Conditions of which none may hold.",
        keys: CONDITIONS,
        account: false,
    },
];

const WINDOW: &[Key] = &[
    key("recipients", NUMBER, "", "So many recipients; this or messages."),
    key("messages", NUMBER, "", "So many messages."),
    key("per", "duration or \"day\"", "", "Within so long at any time, or \"day\": from midnight to midnight."),
];

const LIMITS: &[Key] = &[
    key("file", PATH, "limits.db in the queue's directory", "Where it is counted, for all processes that send."),
    key(
        "timezone",
        TEXT,
        "the machine's",
        "Whose midnight begins a day: Europe/Moscow, UTC or another name of tzdata.",
    ),
];

const SHARED: &[Key] = &[
    key("name", TEXT, "", "Its name, for errors and listings."),
    key("recipients", NUMBER, "", "So many recipients; this or messages."),
    key("messages", NUMBER, "", "So many messages."),
    key("per", "duration or \"day\"", "", "Within so long at any time, or \"day\"."),
    key("timezone", TEXT, "that of [limits]", "Whose midnight."),
    key("senders", LIST, "", "The senders that share it; these or domain."),
    key("domain", TEXT, "", "All senders whose own address is in this domain."),
];

const BULK: &[Key] = &[
    key("header", TEXT, "", "The message has this header field."),
    key("matches", "pattern", "", "The field's value looks like this."),
    key("sender", TEXT, "", "The message takes this sender."),
];

const BRAKE: &[Key] = &[
    key("messages", NUMBER, "", "So many messages go."),
    key("per", TIME, "1h", "Within so long, a minute to a day."),
    key(
        "by",
        LIST,
        "script and uid",
        "What is counted: \"script\" (X-PHP-Originating-Script), \"uid\" (the user; over SMTP the login, else \
         the address), or both.",
    ),
    key("alert", "list of strings", "", "A program and its arguments, run once when it begins to hold."),
    key("exempt", LIST, "", "Users, by name or number, that are not counted."),
    key("except", "tables", "", "See [[brake.except]]."),
];

const EXCEPT: &[Key] = &[
    key("script", "pattern", "", "The script, as the message says it; only with user."),
    key("user", TEXT, "", "The user, by name or number; a login is \"login NAME\"."),
    key("messages", NUMBER, "no brake", "The number that holds for it."),
];

const REPLY: &[Key] = &[
    key("code", NUMBER, "", "The reply's code; this, enhanced or text is needed."),
    key("enhanced", TEXT, "", "Its enhanced code, such as 5.4.5."),
    key("text", "pattern", "", "Its text, or a part of it."),
    key("phase", TEXT, "any", "greeting, ehlo, starttls, auth, mail, rcpt, data or end."),
    key("then", TEXT, "", "hold, back-off, split, configuration, bounce or retry."),
    key("for", TIME, "growing", "How long nothing is tried, with hold and back-off; at most 48h."),
    key("advice", TEXT, "", "What the log and mailq say about it."),
];

const MSMTP: &[Key] = &[key(
    "options",
    TEXT,
    "\"guarded\"",
    "\"guarded\": options that name programs and files are for root and for a person at a terminal; \"all\": for everybody.",
)];

const STAGING: &[Key] = &[
    key(
        "capture",
        TEXT,
        "",
        "\"maildir:/path\", \"mbox:/path\", or \"file\": where mail is kept; this or redirect_to.",
    ),
    key("redirect_to", "address", "", "Who gets all mail."),
    key("allow", LIST, "", "Recipients that are let through."),
];

const LISTEN: &[Key] = &[
    key("address", LIST, "", "An IP address and a port, unix:/path, or fd:NAME for a socket that systemd passes."),
    key("purpose", TEXT, "submission", "\"submission\", or \"incoming\" for mail to domains and addresses alone."),
    key("domains", LIST, "", "With incoming: mail for these domains is taken."),
    key("addresses", LIST, "", "With incoming: mail for these addresses is taken."),
    key("networks", LIST, "", "Networks that may submit without a login, besides this machine."),
    key("auth", TEXT, "off", "\"off\", \"optional\", or \"required\": nobody submits without a login."),
    key("allow_plaintext_auth", SWITCH, "false", "true: logins without TLS, at addresses of this machine only."),
    key("tls", TEXT, "off", "\"off\", \"starttls\", or \"implicit\" (TLS at once)."),
    key("certificate", PATH, "", "The certificate with its chain, PEM."),
    key("key", PATH, "", "Its key, PEM, closed to others."),
    key("hostname", TEXT, "the host's name", "What it calls itself."),
    key("max_connections", NUMBER, "200", "Connections at once."),
    key("max_per_client", NUMBER, "50", "Of these from one client."),
    key("max_size", SIZE, "50M", "Octets of a message, at most 100M."),
    key("max_recipients", NUMBER, "1000", "Recipients of a message."),
    key("max_errors", NUMBER, "20", "Errors and refused logins of a connection."),
    key("max_commands", NUMBER, "1000", "Commands of a connection that bring no message nearer."),
    key("timeouts", "table", "", "Time limits; see timeouts of [[listen]] below."),
];

const LISTEN_TIMEOUTS: &[Key] = &[
    key("tls", TIME, "30s", "Until the TLS handshake is done."),
    key("ehlo", TIME, "1m", "Until EHLO has come."),
    key("command", TIME, "5m", "Until the next command has come."),
    key("body", TIME, "3m", "Until the next 64 KiB of a message have come."),
    key("total", TIME, "2h", "All of a connection."),
];

const USER: &[Key] = &[
    key("name", TEXT, "", "The login."),
    key("password_hash", TEXT, "", "What postrider passwd prints of the password."),
    key("senders", LIST, "the default relay, and senders open to all", "The senders that it may use."),
];

/// What a condition on a text takes.
const TEXTS: &str = "pattern, { regex = \"...\" }, or a list of them";

const RULES: &[Key] = &[
    key(
        "otherwise",
        TEXT,
        "refused; local mail goes over its sender",
        "What no rule takes: refuse, drop or maildir:/path.",
    ),
    key("via", TEXT, "the default relay", "The sender that forwards, and that reports about sorted mail take."),
];

const RULE: &[Key] = &[
    key("name", TEXT, "", "Its name; each has its own."),
    key("to", LIST, "all", "The envelope recipient: an address, a pattern, or @domain."),
    key("from", LIST, "all", "The envelope sender; \"<>\" is none."),
    key("header_to", LIST, "all", "An address of To or Cc."),
    key("header_from", LIST, "all", "An address of From."),
    key("subject", TEXTS, "all", "The subject, decoded."),
    key("header", "field names, each with patterns", "all", "Fields of the header; one of a name is enough."),
    key("larger", SIZE, "all", "More octets than this."),
    key("smaller", SIZE, "all", "Fewer octets than this."),
    key("listener", LIST, "all", "An address of a [[listen]], or \"local\" for this machine's own programs."),
    key("client", LIST, "all", "Networks of clients."),
    key("not", "table", "", "Conditions of which none may hold."),
    key("mark", "field names, each with a value", "", "Fields that the message gets, for the rules behind too."),
    key(
        "maildir",
        PATH,
        "",
        "Into this maildir: %u is the part before the @, %d the domain, %e what stands behind a +.",
    ),
    key(
        "existing",
        SWITCH,
        "true where the path of maildir holds %u, %d or %e",
        "Only where the maildir is there: the rule does not take mail for others. false: what is not there is made, for \
         every name that a stranger invents.",
    ),
    key("pipe", LIST, "", "To this program, with these arguments; no shell."),
    key(
        "user",
        TEXT,
        "the daemon's own",
        "Whose rights and groups the program has; another's needs the drop-in pipe-users.conf, or a daemon that is root.",
    ),
    key("timeout", TIME, "5m", "How long the program may take."),
    key("forward", LIST, "", "On to these addresses."),
    key("via", TEXT, "that of [rules]", "The sender that forwards."),
    key("drop", SWITCH, "false", "Taken and thrown away."),
    key("refuse", TEXT, "", "Refused with this text."),
    key("stop", SWITCH, "false", "No further rule is asked."),
];

const CONDITIONS: &[Key] = &[
    key("to", LIST, "all", "The envelope recipient: an address, a pattern, or @domain."),
    key("from", LIST, "all", "The envelope sender; \"<>\" is none."),
    key("header_to", LIST, "all", "An address of To or Cc."),
    key("header_from", LIST, "all", "An address of From."),
    key("subject", TEXTS, "all", "The subject, decoded."),
    key("header", "field names, each with patterns", "all", "Fields of the header; one of a name is enough."),
    key("larger", SIZE, "all", "More octets than this."),
    key("smaller", SIZE, "all", "Fewer octets than this."),
    key("listener", LIST, "all", "An address of a [[listen]], or \"local\" for this machine's own programs."),
    key("client", LIST, "all", "Networks of clients."),
];

const TOP: &[Key] = &[
    key("enabled", SWITCH, "true", "false: no sender is used, all mail takes the default relay."),
    key(
        "resent",
        SWITCH,
        "false",
        "true: a message that somebody sends on (Resent-From) takes the sender of that address. From still has to be one \
         that the caller may use, and that a sender with must_match takes.",
    ),
    key("domain", TEXT, "the host's name", "What is put behind a local name that has no domain."),
    key(
        "tempfail_exit",
        NUMBER,
        "69",
        "The exit status of a temporary failure where nothing was kept: 69 or 75. PHP 8.5's mail() takes 75 for success.",
    ),
    key(
        "aliases",
        PATH,
        "/etc/aliases where it is there",
        "Aliases of local names, so that mail to root reaches somebody; \"off\": none.",
    ),
    key("aliases_format", TEXT, "auto", "\"auto\", \"sendmail\" or \"msmtp\"."),
    key("local_domains", LIST, "localhost, the host's name", "Domains whose recipients are local names."),
    key("default_recipient", "address", "", "Who gets mail of local names that no alias takes."),
    key("limits", "table", "", "See [limits]."),
    key("limit", "tables", "", "See [[limit]]."),
    key("bulk", "tables", "", "See [[bulk]]."),
    key("staging", "table", "", "See [staging]."),
    key("msmtp", "table", "", "See [msmtp]."),
    key("brake", "table", "", "See [brake]."),
    key("reply", "tables", "", "See [[reply]]."),
    key("listen", "tables", "", "See [[listen]]."),
    key("user", "tables", "", "See [[user]]."),
    key("rules", "table", "", "See [rules]."),
    key("rule", "tables", "", "See [[rule]]."),
    key("log", "table", "", "See [log]."),
    key("queue", "table", "", "See [queue]."),
    key("default", "table", "", "See [default]."),
    key("sender", "tables", "", "See [[sender]]."),
];

const LOG: &[Key] = &[
    key("to", TEXT, "syslog", "\"syslog\" (facility mail), \"stderr\", \"off\", or the absolute path of a file."),
    key("format", TEXT, "text", "\"text\", or \"json\" for one object a line."),
];

const QUEUE: &[Key] = &[
    key("directory", PATH, "/var/lib/postrider", "Where the daemon keeps what it accepted."),
    key(
        "direct",
        TEXT,
        "off",
        "What becomes of a temporary failure without the daemon: \"off\" tells the caller, \"on-failure\" keeps the message \
         in the caller's own queue, for sendmail -q.",
    ),
    key(
        "retry",
        "list of durations",
        "1m 5m 15m 30m 1h 2h 4h",
        "The waits before the second, the third ... attempt; the last one repeats.",
    ),
    key("warn_after", TIME, "4h", "The sender is told once that a message is late; 0s: never."),
    key("expire_after", TIME, "5days", "What is not delivered by then is sent back."),
    key("history", TIME, "30days", "How long final results are remembered."),
    key("min_free", SIZE, "64M", "Below so much free space nothing is accepted."),
    key("postmaster", "address", "nobody", "Who gets what cannot be sent back to its sender."),
    key("bulk_recipients", NUMBER, "10", "A message for more recipients than this is bulk mail."),
    key("connections", NUMBER, "4", "At most so many connections to one sender's server at a time, 1 to 100."),
];

const DEFAULT: &[Key] = &[
    key("relay", TEXT, "msmtprc", "\"msmtprc\": the accounts of an msmtprc as they stand; \"refuse\": a clear error."),
    key("msmtprc", PATH, "/etc/msmtprc, ~/.msmtprc", "The msmtprc."),
    key("account", TEXT, "default", "The account of the msmtprc."),
    key("match_from", SWITCH, "false", "true: take the account whose from fits the From of the message."),
];

const SENDER: &[Key] = &[
    key("name", TEXT, "the first from", "Any unique name, for logs, errors and sendmail -a."),
    key("enabled", SWITCH, "true", "false: as if the sender were not there."),
    key("users", LIST, "everybody", "Users who may use it. Enforced by the daemon."),
    key("groups", LIST, "everybody", "Groups whose members may use it."),
    key("backup", LIST, "", "Senders that take its mail over while its server is down."),
    key("backup_after", TIME, "10m", "For how long it must be down."),
];

/// The keys of an SMTP account, in `[default]` with a server and in `[[sender]]`.
pub static ACCOUNT: &[Key] = &[
    key(
        "from",
        LIST,
        "",
        "The From addresses that the sender serves: an address, a pattern (*@example.com), a domain (@example.com). The most \
         specific one wins.",
    ),
    key("provider", TEXT, "", "A known provider, which fills in server, auth and must_match; see PROVIDERS."),
    key("region", TEXT, "", "The region, for provider = \"ses\"."),
    key(
        "server",
        LIST,
        "the provider's",
        "smtps://host, smtp://host (STARTTLS required), smtp+plain://host, lmtp://host:port, smtp+unix:/path, \
         lmtp+unix:/path, host or host:port. Those of a list stand in for each other.",
    ),
    key("user", TEXT, "no login", "The login."),
    key("password", "table or string", "", "The password; see password above."),
    key(
        "auth",
        TEXT,
        "auto with a login",
        "\"auto\", \"off\", or one of plain, login, cram-md5, scram-sha-1, scram-sha-256 (both also with -plus), external, \
         xoauth2, oauthbearer.",
    ),
    key("allow_plaintext_password", SWITCH, "false", "true: the password may go over a connection without TLS."),
    key(
        "must_match",
        SWITCH,
        "the provider's, else false",
        "true: envelope sender, From and Sender must each be an address of this sender.",
    ),
    key(
        "on_mismatch",
        TEXT,
        "refuse",
        "A message that does not keep to must_match: \"refuse\" it, \"rewrite\" it to this account, or \"route\" it to the \
         sender whose address it has.",
    ),
    key("names", "table of address = name", "", "Aliases of this sender and the names shown with them."),
    key("limits", "tables", "the provider's", "At most so much in so long; see limits above. [] for none."),
    key(
        "at_limit",
        TEXT,
        "hold",
        "A message for which there is no room: \"hold\" it in the queue, \"refuse\" it, or the name of a sender that takes it \
         over.",
    ),
    key("reserve", "number or \"10%\"", "0", "The share of each limit that bulk mail may not use."),
    key("timezone", TEXT, "that of [limits]", "Whose midnight begins a day, for its limits."),
    key("replies", "tables", "the provider's", "What the server's replies mean; see replies above."),
    key("connections", NUMBER, "the provider's, else queue.connections", "Connections at a time."),
    key("messages_per_connection", NUMBER, "the provider's, else 100", "Messages over one connection."),
    key("recipients_per_transaction", NUMBER, "the provider's", "A message for more goes in several transactions."),
    key("pipelining", SWITCH, "true", "false: one command at a time, even where the server announces PIPELINING."),
    key("pace", TEXT, "as quickly as it goes", "At most so many messages, evenly: \"10/s\", \"30/m\", \"600/h\"."),
    key("idle", TIME, "10s", "How long a connection waits for the next message."),
    key("bulk", TEXT, "auto", "Whether its mail is bulk mail: \"auto\", \"never\", \"always\"."),
    key(
        "dkim_selector",
        TEXT,
        "",
        "Which key of the domain its mail is signed with (s1 of s1._domainkey.example.com): postrider test --dns looks at it.",
    ),
    key("reply_to", "address", "", "Where answers go, of messages that do not say so themselves."),
    key("reply_to_always", SWITCH, "false", "true: of all messages."),
    key("bcc", LIST, "", "Who gets a copy of every message; no header shows it."),
    key(
        "headers",
        "table of field = value",
        "",
        "Fields that are added where a message has none of that name; { value = \"...\", replace = true } replaces them.",
    ),
    key("remove_headers", LIST, "", "Fields that are taken out."),
    key("log_file", PATH, "", "A log of this sender, one line a message."),
    key("debug", SWITCH, "false", "true: the dialogue with the server is logged, without passwords."),
    key("ehlo", TEXT, "the host's name", "The host name of the EHLO command."),
    key("timeouts", "table", "", "Time limits; see timeouts above."),
    key("ca_file", PATH, "the system's", "CA certificates in PEM."),
    key("tls_check", SWITCH, "true", "false: neither chain nor name of the certificate is checked."),
    key("fingerprint", TEXT, "", "The certificate's fingerprint, in hex, in place of both checks."),
    key("tls_name", TEXT, "the server's", "The name to ask for and to expect in the certificate."),
    key("client_cert", PATH, "", "A client certificate: PEM, or PKCS#12 with its key."),
    key("client_key", PATH, "client_cert", "Its key, PEM."),
    key("client_password", "table or string", "", "The passphrase of the key."),
    key("proxy", TEXT, "", "A SOCKS5 proxy, socks5://host:port."),
    key("source", "IP address", "", "The local address to connect from."),
];

const TIMEOUTS: &[Key] = &[
    key("connect", TIME, "30s", "Name lookup, connect and TLS handshake, for each address."),
    key("command", TIME, "60s", "The reply to a command."),
    key("data_end", TIME, "10m", "The reply after the message."),
    key("total", TIME, "15m", "All of it."),
    key("password", TIME, "30s", "Fetching the password."),
    key("greeting", TIME, "command", "The server's greeting."),
    key("ehlo", TIME, "command", "The reply to EHLO and STARTTLS."),
    key("auth", TIME, "command", "Each step of the login."),
    key("mail", TIME, "command", "The reply to MAIL."),
    key("rcpt", TIME, "command", "The reply to RCPT."),
    key("data", TIME, "command", "The reply to DATA."),
    key("body", TIME, "command", "Each 64 KiB of the message."),
    key("quit", TIME, "2s", "The reply to QUIT, 2s at most."),
];

const PASSWORD: &[Key] = &[
    key("file", PATH, "", "The first line of a file of mode 0640 or stricter."),
    key(
        "command",
        LIST,
        "",
        "The first line that a program prints: a list is a program and its arguments, a string is for sh -c.",
    ),
    key("env", TEXT, "", "An environment variable."),
    key("credential", TEXT, "", "A systemd credential (LoadCredential= of the unit)."),
];
