# The echo component of ../README.md by xmpp4r.
#
#     ruby xmpp4r.rb HOST PORT DOMAIN SECRET

require "timeout"
require "xmpp4r"

RETRY_SECONDS = 1
CONNECT_SECONDS = 5

# xmpp4r 0.5.6 makes this 0 for every source, with which REXML 3.3 (that of Debian 12 since its
# security updates) cannot read text any more.
REXML::IOSource.remove_method(:position)

$stdout.sync = true

# One connection from its beginning to its end. xmpp4r calls back from the thread of its parser.
class Echo
  def initialize(host, port, domain, secret)
    @ended = Queue.new
    @questions = {}
    @stream_error = nil
    @component = Jabber::Component.new(domain)
    @component.on_exception { |error, _, place| @ended << "#{error.class} #{error&.message} (#{place})" }
    @component.add_xml_callback { |element| stream_error(element) }
    @component.add_message_callback { |message| on_message(message) }
    @component.add_iq_callback { |iq| on_iq(iq) }
    # Without a limit xmpp4r waits for ever for a header or a handshake that does not come.
    Timeout.timeout(CONNECT_SECONDS) do
      @component.connect(host, port)
      @component.auth(secret)
    end
  rescue Jabber::ComponentAuthenticationFailure
    raise if @stream_error.to_s.include?("not-authorized")

    raise IOError, @stream_error
  end

  # Why the connection ended.
  def wait
    reason = @ended.pop
    "#{@stream_error} #{reason}".tr("\n", " ")
  end

  private

  def stream_error(element)
    return false unless element.prefix == "stream" && element.name == "error"

    @stream_error = element.elements.map(&:name).join(" ")
    false
  end

  def on_message(message)
    return if message.type == :error

    if message.body.to_s.start_with?("ask ")
      ask(message, message.body.delete_prefix("ask "))
    else
      @component.send(echo(message, Jabber::Message.new, message.type))
    end
  end

  def on_iq(iq)
    question = @questions.delete(iq.id)
    if question
      answer(question, iq)
    elsif iq.type == :get
      @component.send(echo(iq, Jabber::Iq.new, :result))
    end
  end

  def echo(stanza, reply, type)
    address(reply, stanza.to, stanza.from, stanza.id)
    reply.type = type
    stanza.each_element { |child| reply.add(child.deep_clone) }
    reply
  end

  def ask(message, whom)
    id = Jabber::IdGenerator.instance.generate_id
    iq = address(Jabber::Iq.new(:get), message.to, whom, id)
    iq.add_element("ping", "xmlns" => "urn:xmpp:ping")
    @questions[id] = message
    @component.send(iq)
  end

  def answer(message, iq)
    text = iq.type == :error ? "error #{iq.error.error}" : iq.type.to_s
    reply = Jabber::Message.new(nil, text)
    reply.type = :chat
    @component.send(address(reply, message.to, message.from, message.id))
  end

  def address(stanza, from, to, id)
    stanza.from = from
    stanza.to = to
    stanza.id = id
    stanza
  end
end

host, port, domain, secret = ARGV
loop do
  echo = Echo.new(host, Integer(port), domain, secret)
  puts "connected"
  puts "disconnected #{echo.wait}"
rescue Jabber::ComponentAuthenticationFailure => e
  puts "refused #{e.class} #{e.message}"
  exit 1
rescue SystemCallError, IOError, Timeout::Error
  # Nobody listens there, yet.
ensure
  sleep RETRY_SECONDS
end
