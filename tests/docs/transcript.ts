import type { Readable, Writable } from "node:stream";
import { expect } from "vitest";
import type { CodeBlock } from "./markdown-page.ts";

/** The program's end of a conversation, as the transcript's reader sees it. */
export interface TranscriptPeer {
  /** What the program writes. */
  readonly readable: Readable;
  /** What the program reads. */
  readonly writable: Writable;
}

type Message = Readonly<Record<string, unknown>>;

/** Plays a transcript: sends what is after `>`, and expects what is after `<`. `names` are what words with a dollar sign begin with. */
export async function playTranscript(
  block: CodeBlock,
  { readable, writable }: TranscriptPeer,
  names: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  const known = new Map(Object.entries(names));
  const messages = readMessages(readable);
  for (const [index, line] of block.text.split("\n").entries()) {
    const said = JSON.parse(line.slice(2)) as Message;
    if (line.startsWith("> ")) {
      const body = Buffer.from(JSON.stringify({ jsonrpc: "2.0", ...(replace(said, known) as Message) }));
      writable.write(Buffer.concat([Buffer.from(`Content-Length: ${body.length}\r\n\r\n`), body]));
      continue;
    }
    const { value } = await messages.next();
    const { jsonrpc, ...got } = (value ?? {}) as Message;
    expect(jsonrpc, `${block.path}:${block.line + index}: ${JSON.stringify(value)}`).toBe("2.0");
    learn(said, got, known);
    expect(got, `${block.path}:${block.line + index}`).toEqual(blur(replace(said, known), got));
  }
}

/** The messages of a stream, by the framing that the page tells. */
async function* readMessages(readable: Readable): AsyncGenerator<Message> {
  let buffer = Buffer.alloc(0);
  for await (const chunk of readable) {
    buffer = Buffer.concat([buffer, chunk as Buffer]);
    for (;;) {
      const end = buffer.indexOf("\r\n\r\n");
      const length = Number(/^content-length: *(\d+)$/im.exec(buffer.toString("latin1", 0, Math.max(0, end)))?.[1]);
      if (end < 0 || buffer.length < end + 4 + length) break;
      yield JSON.parse(buffer.toString("utf8", end + 4, end + 4 + length)) as Message;
      buffer = buffer.subarray(end + 4 + length);
    }
  }
}

/** Notes what stands where a word with a dollar sign comes for the first time. */
function learn(said: unknown, got: unknown, known: Map<string, unknown>): void {
  if (typeof said === "string" && said.startsWith("$") && !known.has(said.slice(1))) known.set(said.slice(1), got);
  if (typeof said !== "object" || said === null || typeof got !== "object" || got === null) return;
  for (const [key, value] of Object.entries(said)) learn(value, (got as Message)[key], known);
}

function replace(said: unknown, known: ReadonlyMap<string, unknown>): unknown {
  if (typeof said === "string" && said.startsWith("$") && known.has(said.slice(1))) return known.get(said.slice(1));
  if (Array.isArray(said)) return said.map((item) => replace(item, known));
  if (typeof said !== "object" || said === null) return said;
  return Object.fromEntries(Object.entries(said).map(([key, value]) => [key, replace(value, known)]));
}

/** What varies is taken as it came, so long as it came. */
function blur(said: unknown, got: unknown): unknown {
  if (said === "..." && got !== undefined) return got;
  if (Array.isArray(said))
    return said.map((item, index) => blur(item, (got as readonly unknown[] | undefined)?.[index]));
  if (typeof said !== "object" || said === null) return said;
  return Object.fromEntries(
    Object.entries(said).map(([key, value]) => [key, blur(value, (got as Message | undefined)?.[key])]),
  );
}
