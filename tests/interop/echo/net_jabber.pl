# The echo component of ../README.md by Net::Jabber. It ends with its connection.
#
#     perl net_jabber.pl HOST PORT DOMAIN SECRET

use strict;
use warnings;

use Net::Jabber;

use constant CONNECT_SECONDS => 10;

$| = 1;

my ($host, $port, $domain, $secret) = @ARGV;
my $component = Net::Jabber::Component->new();
my %questions;
my $asked = 0;

$component->SetCallBacks(message => \&on_message, iq => \&on_iq);
$component->Connect(
    hostname      => $host,
    port          => $port,
    componentname => $domain,
    timeout       => CONNECT_SECONDS,
) or die "no connection: $!\n";
my ($outcome, $words) = $component->AuthSend(secret => $secret);
if ($outcome ne 'ok') {
    print "refused $words\n";
    exit 1;
}
print "connected\n";
while (defined $component->Process()) { }
my $error = $component->{STREAM}->GetErrorCode() // '';
$error = ref $error ? join ' ', map { $_ // '' } %$error : $error;
print "disconnected $error\n";
exit 0;

sub on_message {
    my (undef, $message) = @_;
    return if $message->GetType() eq 'error';
    if ($message->GetBody() =~ /^ask (.*)/s) {
        ask($message, $1);
        return;
    }
    echo($message, Net::Jabber::Message->new(), $message->GetType());
}

sub on_iq {
    my (undef, $iq) = @_;
    my $question = delete $questions{ $iq->GetID() };
    if ($question) {
        answer($question, $iq);
    }
    elsif ($iq->GetType() eq 'get') {
        echo($iq, Net::Jabber::IQ->new(), 'result');
    }
}

sub echo {
    my ($stanza, $reply, $type) = @_;
    $reply->InsertRawXML($_->GetXML()) for grep { $_->get_tag() ne '__xmlstream__:node:cdata' } $stanza->GetTree()->children();
    send_with($reply, $stanza->GetTo(), $stanza->GetFrom(), $stanza->GetID(), $type);
}

sub ask {
    my ($message, $whom) = @_;
    my $id = 'question-' . ++$asked;
    my $iq = Net::Jabber::IQ->new();
    $iq->InsertRawXML("<ping xmlns='urn:xmpp:ping'/>");
    $questions{$id} = $message;
    send_with($iq, $message->GetTo(), $whom, $id, 'get');
}

sub answer {
    my ($message, $iq) = @_;
    my $text = $iq->GetType();
    if ($text eq 'error') {
        my ($error) = $iq->GetTree()->XPath('error');
        my ($condition) = grep { $_->get_tag() !~ /^(__xmlstream__|text$)/ } $error->children();
        $text .= ' ' . $condition->get_tag();
    }
    my $reply = Net::Jabber::Message->new();
    $reply->SetBody($text);
    send_with($reply, $message->GetTo(), $message->GetFrom(), $message->GetID(), 'chat');
}

sub send_with {
    my ($stanza, $from, $to, $id, $type) = @_;
    $stanza->SetFrom($from);
    $stanza->SetTo($to);
    $stanza->SetID($id);
    $stanza->SetType($type) if $type;
    $component->Send($stanza);
}
