import { duplexPair } from "node:stream";
import { OpenFlowClient, type OpenFlowClientOptions } from "../src/index.ts";
import { type Message, messageType } from "../src/wire/message.ts";
import { MessageSplitter } from "../src/wire/message-splitter.ts";
import { message } from "./switch-words.ts";

/** The other end of a client: it says hello, answers barriers, and the rest is the test's. */
export class FakeSwitch {
  /** Given each message; what it returns is sent. */
  handler: (received: Message) => readonly Buffer[] = () => [];
  readonly received: Message[] = [];
  readonly stream: ReturnType<typeof duplexPair>[0];
  readonly #theirs: ReturnType<typeof duplexPair>[1];

  constructor() {
    const [ours, theirs] = duplexPair();
    this.stream = ours;
    this.#theirs = theirs;
    const splitter = new MessageSplitter();
    ours.on("error", () => undefined);
    ours.on("data", (chunk: Buffer) => {
      for (const { body, ...rest } of splitter.push(chunk)) this.#receive({ ...rest, body: Buffer.from(body) });
    });
  }

  /** A client that has said hello to it. */
  connect(options: OpenFlowClientOptions = {}): Promise<OpenFlowClient> {
    return OpenFlowClient.handshake(this.#theirs, { name: "fake", timeoutMs: 5_000, ...options });
  }

  say(...messages: readonly Buffer[]): void {
    this.stream.write(Buffer.concat(messages));
  }

  /** What it got of a type. */
  of(type: number): readonly Message[] {
    return this.received.filter((each) => each.type === type);
  }

  #receive(received: Message): void {
    this.received.push(received);
    const answers = this.handler(received);
    if (answers.length > 0) this.say(...answers);
    else if (received.type === messageType.hello) this.say(message(messageType.hello, received.xid));
    else if (received.type === messageType.barrierRequest) this.say(message(messageType.barrierReply, received.xid));
  }
}
