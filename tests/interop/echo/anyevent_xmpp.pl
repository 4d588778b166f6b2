# The echo component of ../README.md by AnyEvent::XMPP.
#
#     perl anyevent_xmpp.pl HOST PORT DOMAIN SECRET

use strict;
use warnings;

use AnyEvent;
use AnyEvent::XMPP::Component;

use constant RETRY_SECONDS => 1;

$| = 1;

my ($host, $port, $domain, $secret) = @ARGV;
my $refused = AnyEvent->condvar;
my ($component, $timer);

connect_component();
$refused->recv;
exit 1;

# A component object lives for one connection.
sub connect_component {
    my ($ready, $error) = (0, '');
    $component = AnyEvent::XMPP::Component->new(
        domain => $domain,
        host   => $host,
        port   => $port,
        secret => $secret,
    );
    $component->reg_cb(
        session_ready => sub {
            $ready = 1;
            print "connected\n";
        },
        stream_error => sub {
            my (undef, $condition) = @_;
            $error = $condition->string;
        },
        disconnect => sub {
            my (undef, undef, undef, $reason) = @_;
            if ($ready) {
                print "disconnected $error $reason\n" =~ s/\n(?=.)/ /gr;
            }
            elsif ($error =~ /not-authorized/) {
                print "refused $error\n";
                $refused->send;
                return;
            }
            $timer = AnyEvent->timer(after => RETRY_SECONDS, cb => \&connect_component);
        },
        message_xml        => \&on_message,
        iq_get_request_xml => \&on_get,
    );
    $component->connect;
}

sub on_message {
    my ($component, $message) = @_;
    my $type = $message->attr('type') // 'normal';
    return if $type eq 'error';
    my ($body) = $message->find_all([ 'component', 'body' ]);
    if ($body && $body->text =~ /^ask (.*)/s) {
        ask($component, $message, $1);
        return;
    }
    $component->send_message(
        $message->attr('from'), $type, children_of($message),
        from => $message->attr('to'), id => $message->attr('id'));
}

sub on_get {
    my ($component, $iq, $handled) = @_;
    $$handled = 1;
    $component->reply_iq_result($iq, children_of($iq));
}

# What writes the children of a stanza into another.
sub children_of {
    my ($stanza) = @_;
    return sub {
        my ($writer) = @_;
        $_->write_on($writer) for $stanza->nodes;
    };
}

sub ask {
    my ($component, $message, $whom) = @_;
    $component->send_iq(
        'get',
        { defns => 'urn:xmpp:ping', node => { name => 'ping' } },
        sub {
            my ($result, $error) = @_;
            $component->send_message(
                $message->attr('from'), 'chat', undef,
                from => $message->attr('to'),
                id   => $message->attr('id'),
                body => $error ? 'error ' . condition_of($error) : $result->attr('type'));
        },
        from => $message->attr('to'),
        to   => $whom,
    );
}

# AnyEvent::XMPP looks for <error/> in jabber:client, where a component's is not, and complains of
# it on standard error: the condition has to be read from the stanza.
sub condition_of {
    my ($iq_error) = @_;
    my ($error) = $iq_error->xml_node->find_all([ 'component', 'error' ]);
    my ($condition) = grep { $_->name ne 'text' } $error->nodes;
    return $condition->name;
}
