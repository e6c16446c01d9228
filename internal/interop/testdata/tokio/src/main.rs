//! A client on tokio-xmpp: it logs in, says where it is on standard output, answers the first message with its text, and closes.
//! The arguments are the JID and the server's address; the password is the first line of standard input. SSL_CERT_FILE names the authority to trust.

use futures::StreamExt;
use tokio_xmpp::connect::DnsConfig;
use tokio_xmpp::jid::Jid;
use tokio_xmpp::parsers::message::{Lang, Message};
use tokio_xmpp::{xmlstream::Timeouts, Client, Event, Stanza};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    let mut password = String::new();
    std::io::stdin().read_line(&mut password).unwrap();
    let mut client = Client::new_starttls(
        Jid::new(&args[1]).unwrap(),
        password.trim_end_matches('\n'),
        DnsConfig::addr(&args[2]),
        Timeouts::tight(),
    );
    while let Some(event) = client.next().await {
        match event {
            Event::Online { bound_jid, .. } => println!("online {bound_jid}"),
            Event::Stanza(Stanza::Message(Message {
                from: Some(from),
                bodies,
                ..
            })) => {
                let mut answer = Message::chat(Some(from));
                answer
                    .bodies
                    .insert(Lang::default(), bodies.into_values().next().unwrap());
                client.send_stanza(answer.into()).await.unwrap();
                return client.send_end().await.unwrap();
            }
            other => println!("{other:?}"),
        }
    }
}
