import { isVdcError } from "@vdc-os/core";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import {
  endsSoon,
  ensurePlane,
  type HostRequirement,
  type HostTest,
  logOf,
  remove,
  request,
  startsOf,
  until,
} from "./host-instance.ts";

const clause =
  'HostRuntime.readLog: "What a process has written to its output and error output, from a byte offset on"';
const pieceBytes = 65_536;

interface Piece {
  readonly offset: number;
  readonly text: string;
}

async function piecesOf(test: HostTest, processId: string, offset?: number): Promise<readonly Piece[]> {
  const pieces: Piece[] = [];
  const input = { processId, ...(offset === undefined ? {} : { offset }) };
  for await (const piece of test.provider.readLog(input, test.operation())) pieces.push(piece);
  return pieces;
}

/** What processes write. */
export const logRequirements: readonly HostRequirement[] = [
  {
    id: "host.log.whole",
    title: "a log has all that a process wrote, in order, and is read again alike",
    clause,
    level: "core",
    async run(test) {
      await Promise.all(["a", "b"].map((id) => ensurePlane(test, id)));
      await request(test, "a", "write", { text: "one\n" });
      await request(test, "b", "write", { text: "of b\n" });
      await request(test, "a", "write", { text: "\u00fc \u{1f600} \u001b[0m\r\n" });
      const expected = "plane a begins\none\n\u00fc \u{1f600} \u001b[0m\r\n";
      mustEqual(await logOf(test, "a"), expected, "the log");
      mustEqual(await logOf(test, "a"), expected, "the log, read again");
      mustEqual((await piecesOf(test, "a"))[0]?.offset, 0, "where the first piece begins");
    },
  },
  {
    id: "host.log.offset",
    title: "a log is read from an offset in bytes on",
    clause,
    level: "core",
    async run(test) {
      await ensurePlane(test, "a");
      const before = Buffer.byteLength(await logOf(test, "a"));
      await request(test, "a", "write", { text: "\u00e9\u00e9\u00e9" });
      await request(test, "a", "write", { text: "rest" });
      mustEqual(await piecesOf(test, "a", before + 4), [{ offset: before + 4, text: "\u00e9rest" }], "what follows");
      mustEqual(await piecesOf(test, "a", before + 10), [], "what follows the end");
      const [first] = await piecesOf(test, "a", before + 1_000);
      mustEqual(first?.offset, 0, "where a reader goes on who has read more than there is");
    },
  },
  {
    id: "host.log.pieces",
    title: "a long log comes in pieces that are small, follow each other and cut no character in two",
    clause: 'HostRuntime.readLog: "in pieces of at most 65,536 bytes, which cut no character in two"',
    level: "core",
    async run(test) {
      await ensurePlane(test, "a");
      for (const [text, times] of [
        ["\u00e9", 50_000],
        ["a", 1],
        ["\u{1f600}\u20ac", 30_000],
        ["b\n", 150_000],
      ] as const) {
        await request(test, "a", "write", { text, times });
      }
      let next = 0;
      let whole = "";
      for (const { offset, text } of await piecesOf(test, "a")) {
        mustEqual(offset, next, "where a piece begins");
        const bytes = Buffer.byteLength(text);
        must(bytes > 0 && bytes <= pieceBytes, `a piece must have 1 to ${pieceBytes} bytes, and has ${bytes}`);
        next += bytes;
        whole += text;
      }
      const written = `plane a begins\n${"\u00e9".repeat(50_000)}a${"\u{1f600}\u20ac".repeat(30_000)}${"b\n".repeat(150_000)}`;
      must(whole === written, `${written.length} characters were written, and ${whole.length} other ones are read`);
    },
  },
  {
    id: "host.log.follow",
    title: "who follows a log is told what is written later, and that the process was removed",
    clause: 'HostRuntime.readLog: "with `follow`, also what it writes later, until it is removed"',
    level: "core",
    async run(test) {
      await ensurePlane(test, "a");
      const log = test.provider.readLog({ processId: "a", follow: true }, test.operation());
      const reader = log[Symbol.asyncIterator]();
      let text = "";
      // It is asked for what follows before that is written.
      const readUntil = async (end: string, write: () => Promise<unknown>): Promise<void> => {
        let next = reader.next();
        await write();
        for (;;) {
          const { value, done } = await next;
          must(done !== true, `the log must go on, and ended after '${text}'`);
          text += (value as Piece).text;
          if (text.endsWith(end)) return;
          next = reader.next();
        }
      };
      await readUntil("begins\n", async () => undefined);
      for (const line of ["one\n", "two\n"]) {
        await readUntil(line, () => request(test, "a", "write", { text: line }));
      }
      mustEqual(text, "plane a begins\none\ntwo\n", "what was told");
      const rest = (async () => {
        while (!(await reader.next()).done);
      })();
      rest.catch(() => undefined);
      await remove(test, "a");
      must(await endsSoon(rest), "who follows the log of a process that was removed must be told");
      await rest.catch((error: unknown) => {
        if (!isVdcError(error, "NOT_FOUND")) throw error;
      });
    },
  },
  {
    id: "host.log.cancel",
    title: "who follows a log and gives up is rid of it",
    clause: 'OperationContext.signal: "Aborts when the caller cancels"',
    level: "core",
    async run(test) {
      await ensurePlane(test, "a");
      const controller = new AbortController();
      const operation = test.operation({ signal: controller.signal });
      const reader = test.provider.readLog({ processId: "a", follow: true }, operation)[Symbol.asyncIterator]();
      await reader.next();
      const rest = (async () => {
        while (!(await reader.next()).done);
      })();
      controller.abort();
      must(await endsSoon(rest), "a reader who has given up must be rid of the log");
    },
  },
  {
    id: "host.log.kept",
    title: "a log goes on when its process is started again",
    clause: 'HostRuntime.readLog: "A log goes on when its process is started again"',
    level: "core",
    async run(test) {
      await ensurePlane(test, "a");
      await request(test, "a", "write", { text: "last words\n" });
      await request(test, "a", "exit", { code: 1 }).catch(() => undefined);
      await until(test, "a", ({ state, restarts }) => state === "running" && restarts === 1);
      mustEqual(await logOf(test, "a"), "plane a begins\nlast words\nplane a begins\n", "the log");
      await remove(test, "a");
      await ensurePlane(test, "a");
      mustEqual(await startsOf(test, "a"), 1, "how often the next process of that id was started");
    },
  },
  {
    id: "host.log.unknown",
    title: "a process that there is not has no log",
    clause: 'Operation readLog: errors ["NOT_FOUND"]',
    level: "core",
    async run(test) {
      await mustReject(logOf(test, "a"), "NOT_FOUND", "the log of a process that there is not");
      const follow = test.provider.readLog({ processId: "a", follow: true }, test.operation());
      await mustReject(follow[Symbol.asyncIterator]().next(), "NOT_FOUND", "who follows such a log");
    },
  },
];
