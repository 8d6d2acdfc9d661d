import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { duplexPair } from "node:stream";
import {
  type Contract,
  defineExtensionPoint,
  describeOperation,
  type ExtensionPoint,
  type OperationContext,
  toVdcError,
  unary,
} from "@vdc-os/core";
import { ProviderDirectory, serveProviders } from "@vdc-os/core/remote";
import { stateStore } from "@vdc-os/core/state/v1";
import { MemoryStateStore } from "@vdc-os/ready/state";
import { expect, test } from "vitest";
import { z } from "zod";
import { root } from "../architecture/source-tree.ts";
import { missingPrograms } from "@vdc-os/testing";
import { pageAt, placeOf } from "./pages.ts";
import { playTranscript } from "./transcript.ts";

const { blocks } = pageAt("docs/wire-protocol.md");
const of = (peer: string) => blocks.filter(({ words }) => words.includes(`transcript=${peer}`));

interface Press extends Contract {
  print(input: { readonly pages: number }, context: OperationContext): Promise<void>;
}

const press: ExtensionPoint<Press> = defineExtensionPoint<Press>()({
  id: "acme.press",
  version: "1.0",
  summary: "Prints.",
  operations: {
    describe: describeOperation,
    print: unary({
      summary: "Prints a page, and runs out of paper.",
      input: z.object({ pages: z.number() }),
      output: z.void(),
      idempotent: false,
      errors: [],
    }),
  },
  facets: {},
});

const slowPress: Press = {
  describe: async () => ({
    implementation: { name: "press", version: "1.0.0", simulated: true },
    facets: {},
    attributes: {},
  }),
  async print({ pages }, context) {
    const { signal } = context;
    const out = once(signal, "abort");
    context.progress({ fraction: 1 / pages, message: `one of ${pages} pages` });
    await out;
    throw toVdcError(signal.reason);
  },
};

test("each transcript is played", () => {
  const transcripts = blocks.filter(({ language }) => language === "jsonl");
  expect(transcripts.length).toBeGreaterThan(4);
  expect([...of("program"), ...of("calls"), ...of("state")].length).toBe(transcripts.length);
});

for (const block of [...of("calls"), ...of("state")]) {
  test(`the transcript at ${placeOf(block)} is what core says`, async () => {
    const directory = new ProviderDirectory();
    directory.add(press, "press", slowPress);
    directory.add(stateStore, "state", new MemoryStateStore());
    const [near, far] = duplexPair();
    const connection = serveProviders(far, directory);
    try {
      await playTranscript(block, { readable: near, writable: near });
    } finally {
      near.destroy();
      await connection.closed;
    }
  });
}

const missing = missingPrograms(["python3"], "the conversation with a program of docs/wire-protocol.md is not played");
for (const block of of("program")) {
  test.skipIf(missing)(`the transcript at ${placeOf(block)} is what a program in Python says`, async () => {
    const folder = await mkdtemp(join(tmpdir(), "vdc-wire-"));
    const program = join(root, "examples/python-provider/src/folder_storage.py");
    const child = spawn("python3", ["-B", program], { stdio: ["pipe", "pipe", "inherit"] });
    const ended = once(child, "exit");
    try {
      await playTranscript(block, { readable: child.stdout, writable: child.stdin }, { folder });
      child.stdin.end();
      // It ends by itself when its input does.
      expect(await ended).toEqual([0, null]);
    } finally {
      child.kill("SIGKILL");
      await rm(folder, { recursive: true });
    }
  });
}
