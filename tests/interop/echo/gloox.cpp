// The echo component of ../README.md by gloox.
//
//     gloox HOST PORT DOMAIN SECRET

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include <unistd.h>

#include <gloox/component.h>
#include <gloox/connectionlistener.h>
#include <gloox/error.h>
#include <gloox/iq.h>
#include <gloox/iqhandler.h>
#include <gloox/message.h>
#include <gloox/messagehandler.h>
#include <gloox/stanzaextension.h>
#include <gloox/tag.h>

using namespace gloox;

namespace {

const int kPayload = ExtUser + 1;
const int kPing = ExtUser + 2;
const unsigned kRetrySeconds = 1;

// An element of a foreign namespace, kept as it is.
class Element : public StanzaExtension {
public:
    Element(int type, const std::string& filter, const Tag* tag = nullptr)
        : StanzaExtension(type), type_(type), filter_(filter), tag_(tag ? tag->clone() : nullptr) {}
    ~Element() override { delete tag_; }
    const std::string& filterString() const override { return filter_; }
    StanzaExtension* newInstance(const Tag* tag) const override { return new Element(type_, filter_, tag); }
    StanzaExtension* clone() const override { return new Element(type_, filter_, tag_); }
    Tag* tag() const override { return tag_ ? tag_->clone() : nullptr; }

private:
    int type_;
    std::string filter_;
    Tag* tag_;
};

struct Question {
    JID asker;
    JID self;
    std::string id;
};

class Echo : public ConnectionListener, public MessageHandler, public IqHandler {
public:
    Echo(const char* host, int port, const char* domain, const char* secret)
        : component_(XMLNS_COMPONENT_ACCEPT, host, domain, secret, port) {
        component_.registerConnectionListener(this);
        component_.registerMessageHandler(this);
        component_.registerStanzaExtension(new Element(
            kPayload,
            "/message/payload[@xmlns='urn:example:interop']|/iq/payload[@xmlns='urn:example:interop']"));
        component_.registerIqHandler(this, kPayload);
    }

    // Until the secret is refused.
    void run() {
        while (!refused_) {
            component_.connect(true);
            sleep(kRetrySeconds);
        }
    }

    void onConnect() override {
        authenticated_ = true;
        std::puts("connected");
    }

    void onDisconnect(ConnectionError error) override {
        std::string reason = "error " + std::to_string(error);
        if (error == ConnStreamError)
            reason = name(component_.streamError()) + ", " + component_.streamErrorText();
        if (authenticated_) {
            std::printf("disconnected %s\n", reason.c_str());
        } else if (error == ConnStreamError && component_.streamError() == StreamErrorNotAuthorized) {
            std::printf("refused %s\n", reason.c_str());
            refused_ = true;
        }
        authenticated_ = false;
    }

    bool onTLSConnect(const CertInfo&) override { return false; }

    void handleMessage(const Message& message, MessageSession*) override {
        if (message.subtype() == Message::Error)
            return;
        const std::string body = message.body();
        if (body.compare(0, 4, "ask ") == 0) {
            ask(message, body.substr(4));
            return;
        }
        Message reply(message.subtype(), message.from(), body);
        reply.setFrom(message.to());
        reply.setID(message.id());
        if (const StanzaExtension* payload = message.findExtension(kPayload))
            reply.addExtension(payload->clone());
        component_.send(reply);
    }

    bool handleIq(const IQ& iq) override {
        const StanzaExtension* payload = iq.findExtension(kPayload);
        if (iq.subtype() != IQ::Get || !payload)
            return false;
        IQ result(IQ::Result, iq.from(), iq.id());
        result.setFrom(iq.to());
        result.addExtension(payload->clone());
        component_.send(result);
        return true;
    }

    void handleIqID(const IQ& iq, int context) override {
        const Question question = questions_[context];
        questions_.erase(context);
        Message answer(Message::Chat, question.asker,
                       iq.subtype() == IQ::Error ? "error " + condition(iq) : "result");
        answer.setFrom(question.self);
        answer.setID(question.id);
        component_.send(answer);
    }

private:
    void ask(const Message& message, const std::string& whom) {
        const int context = ++asked_;
        questions_[context] = Question{message.from(), message.to(), message.id()};
        const Tag ping("ping", XMLNS, "urn:xmpp:ping");
        IQ iq(IQ::Get, JID(whom), component_.getID());
        iq.setFrom(message.to());
        iq.addExtension(new Element(kPing, "", &ping));
        component_.send(iq, this, context);
    }

    static std::string condition(const IQ& iq) {
        const Tag* error = iq.error() ? iq.error()->tag() : nullptr;
        std::string found = "no condition";
        if (error && !error->children().empty())
            found = error->children().front()->name();
        delete error;
        return found;
    }

    static std::string name(StreamError error) {
        switch (error) {
        case StreamErrorNotAuthorized: return "StreamErrorNotAuthorized";
        case StreamErrorSystemShutdown: return "StreamErrorSystemShutdown";
        default: return "StreamError " + std::to_string(error);
        }
    }

    Component component_;
    std::map<int, Question> questions_;
    int asked_ = 0;
    bool authenticated_ = false;
    bool refused_ = false;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 5)
        return 2;
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    Echo(argv[1], std::atoi(argv[2]), argv[3], argv[4]).run();
    return 1;
}
