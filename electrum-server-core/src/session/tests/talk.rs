//! A client and a session, joined without a wire.

use std::sync::Arc;

use electrum_protocol::client::{Event, ReplyError};
use electrum_protocol::{Call, Client, ErrorObject, Notification, VersionRange};

use super::super::{Next, Place, Services, Session};
use crate::notify::Update;

pub(crate) struct Talk {
    pub(crate) session: Session,
    pub(crate) services: Arc<Services>,
    client: Client,
    pub(crate) notifications: Vec<Notification>,
}

impl Talk {
    pub(crate) fn new(services: &Arc<Services>) -> Self {
        Self {
            session: Session::new(services),
            services: services.clone(),
            client: Client::default(),
            notifications: Vec::new(),
        }
    }

    /// Settles on a version.
    pub(crate) fn introduce(mut self, versions: VersionRange) -> Self {
        let (_, bytes) = self.client.introduce("test", versions);
        self.session.receive(&bytes);
        self.run();
        let output = self.session.take_output();
        self.client.receive(&output);
        assert!(matches!(
            self.client.poll_event(),
            Some(Event::Negotiated { result: Ok(_), .. })
        ));
        self
    }

    /// Lets the session go on until it needs something from outside.
    pub(crate) fn run(&mut self) -> Next {
        let mut place = Place::Node;
        loop {
            match self.session.run(place, &self.services, 0) {
                Next::Needs(needed) => place = needed,
                Next::Pause => {}
                next => return next,
            }
        }
    }

    /// Asks, and waits for the answer; keeps what else comes.
    pub(crate) fn ask<C: Call>(&mut self, call: C) -> Result<C::Response, ErrorObject> {
        let (asked, bytes) = self.client.request(call);
        self.session.receive(&bytes);
        self.run();
        let output = self.session.take_output();
        self.client.receive(&output);
        let mut answer = None;
        while let Some(event) = self.client.poll_event() {
            match event {
                Event::Reply { id, result } => {
                    assert_eq!(id, asked);
                    answer = Some(result);
                }
                Event::Notification(notification) => self.notifications.push(notification),
                event => panic!("{event:?}"),
            }
        }
        match answer.expect("there is an answer") {
            Ok(response) => Ok(C::unwrap(response).expect("the answer is of the method")),
            Err(ReplyError::Server(error)) => Err(error),
            Err(error) => panic!("{error}"),
        }
    }

    /// Sends text as it is, and returns the lines that come back.
    pub(crate) fn say(&mut self, text: &str) -> Vec<String> {
        self.session.receive(text.as_bytes());
        self.run();
        self.hear()
    }

    /// Returns the lines that wait.
    pub(crate) fn hear(&mut self) -> Vec<String> {
        let output = String::from_utf8(self.session.take_output()).unwrap();
        output.lines().map(str::to_owned).collect()
    }

    /// Passes an update on, and returns the lines that come of it.
    pub(crate) fn update(&mut self, update: &Update) -> Vec<String> {
        self.session.on_update(update);
        self.run();
        self.hear()
    }
}

/// Returns the line of a notification.
pub(crate) fn line(notification: Notification) -> String {
    let mut line = Vec::new();
    notification.encode(electrum_protocol::ProtocolVersion::V1_4, &mut line);
    String::from_utf8(line).unwrap()
}
