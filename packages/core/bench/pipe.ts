import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { createMessageConnection, StreamMessageReader, StreamMessageWriter } from "vscode-jsonrpc/node";
import { createOperationContext } from "../src/index.ts";
import { Kernel } from "../src/kernel.ts";
import { connectProviders } from "../src/remote/index.ts";
import { defineGreeter } from "./greeter.ts";
import { compare, type Outcome, timed } from "./measure.ts";

type Child = ChildProcessByStdio<Writable, Readable, null>;

function spawnEnd(kind: "bare" | "provider"): Child {
  const path = fileURLToPath(new URL("pipe-child.ts", import.meta.url));
  return spawn(process.execPath, [path, kind], { stdio: ["pipe", "pipe", "inherit"] });
}

async function end(child: Child): Promise<void> {
  child.stdin.end();
  if (child.exitCode === null) await once(child, "exit");
}

/** A call through a handle to a provider in a child process, against a bare JSON-RPC request to a child process that does the same. */
export async function comparePipe(): Promise<Outcome> {
  const input = { name: "bench" };
  const calls = 300;
  const bareChild = spawnEnd("bare");
  const bare = createMessageConnection(
    new StreamMessageReader(bareChild.stdout),
    new StreamMessageWriter(bareChild.stdin),
  );
  bare.listen();
  const providerChild = spawnEnd("provider");
  const connection = await connectProviders({ readable: providerChild.stdout, writable: providerChild.stdin });
  const point = defineGreeter("bench.greeter");
  const kernel = new Kernel({ validation: "none" });
  kernel.provide(point, "plain", connection.proxy(point, "plain"));
  const handle = kernel.get(point, "plain");
  const context = createOperationContext();
  try {
    return await compare({
      name: "call over the pipe",
      goal: 1.5,
      rounds: 25,
      peer: () =>
        timed(async () => {
          for (let call = 0; call < calls; call++) await bare.sendRequest("greet", input);
        }),
      ours: () =>
        timed(async () => {
          for (let call = 0; call < calls; call++) await handle.greet(input, context);
        }),
    });
  } finally {
    await kernel.stop();
    bare.dispose();
    await connection.close();
    await Promise.all([end(bareChild), end(providerChild)]);
  }
}
