import { realpathSync } from "node:fs";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { fromConfig, type JsonObject, type Logger, provides, silentLogger } from "@vdc-os/core";
import { Kernel, use } from "@vdc-os/core/kernel";
import { type ExternalOptions, external } from "@vdc-os/core/remote";
import { afterEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { pluginStateChanged } from "../../src/event/kernel-events.ts";
import { counter } from "./counter-point.ts";

const program = fileURLToPath(new URL("./fixtures/external-program.mjs", import.meta.url));

const options: ExternalOptions<{ readonly name: string }> = {
  name: "@acme/vdc-external",
  version: "1.0.0",
  core: "0.1",
  summary: "Counts in a program of its own.",
  provides: [provides(counter, { name: fromConfig("name") })],
  config: z.object({ name: z.string() }),
  command: [process.execPath, program, "two words", "$(no shell)"],
  restart: { firstBackOffMs: 10 },
};

const kernels: Kernel[] = [];

afterEach(async () => {
  for (const kernel of kernels.splice(0)) await kernel.stop();
});

async function run(more: Partial<typeof options> = {}, logger: Logger = silentLogger): Promise<Kernel> {
  const kernel = new Kernel({ plugins: [use(external({ ...options, ...more }), { config: { name: "c" } })], logger });
  kernels.push(kernel);
  await kernel.start();
  return kernel;
}

/** A logger that resolves with the first line that a program wrote to a stream. */
function firstLine(stream: string): { readonly logger: Logger; readonly line: Promise<string> } {
  const { promise, resolve } = Promise.withResolvers<string>();
  const info = (message: string, fields?: JsonObject): void => {
    if (fields?.stream === stream) resolve(message);
  };
  const logger: Logger = { ...silentLogger, info, child: () => logger };
  return { logger, line: promise };
}

describe("a plugin that is a command line", () => {
  it("runs where it is told, with what is added to its environment", async () => {
    const cwd = realpathSync(tmpdir());
    const kernel = await run({ cwd, env: { TEST_SETTING: "set" } });
    const { text } = await kernel.get(counter, "c").echo({ text: "where" });
    expect(text.split(" ").slice(1)).toEqual([cwd, "set"]);
  });

  it("gets its arguments as they are, and what it writes to standard error is logged", async () => {
    const { logger, line } = firstLine("stderr");
    await run({}, logger);
    expect(await line).toBe("runs with two words $(no shell)");
  });

  it("is started again when it ends, and the call that it ended in fails", async () => {
    const kernel = await run();
    const handle = kernel.get(counter, "c");
    const [before] = (await handle.echo({ text: "where" })).text.split(" ");
    const again = new Promise<void>((resolve) => {
      kernel.events.on(pluginStateChanged, ({ from, to }) => {
        if (from === "degraded" && to === "ready") resolve();
      });
    });
    await expect(handle.reset({ how: "end" })).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await again;
    const [after] = (await handle.echo({ text: "where" })).text.split(" ");
    expect(after).not.toBe(before);
  });

  it("answers to its contract: a result that the schema refuses reaches nobody", async () => {
    const kernel = await run();
    const wrong = kernel.get(counter, "c").echo({ text: "wrong" });
    await expect(wrong).rejects.toMatchObject({
      code: "INTERNAL",
      reason: "VDC_OUTPUT_INVALID",
      plugin: "@acme/vdc-external",
    });
  });

  it("has its items held against the contract too, and its streams ended", async () => {
    const handle = (await run()).get(counter, "c");
    const items: unknown[] = [];
    for await (const item of handle.count({ to: 3 })) items.push(item);
    expect(items).toEqual([{ at: 1 }, { at: 2 }, { at: 3 }]);
    const watch = handle.follow({ from: 1 })[Symbol.asyncIterator]();
    await expect(watch.next()).rejects.toMatchObject({ code: "INTERNAL", reason: "VDC_OUTPUT_INVALID" });
    expect(await watch.next()).toEqual({ done: true, value: undefined });
    // One that has nothing to say can be left.
    const silent = handle.count({ to: 1 })[Symbol.asyncIterator]();
    await silent.next();
    expect(await silent.return?.(undefined)).toEqual({ done: true, value: undefined });
  });

  it("says when there is no such program, and that a command must name one", async () => {
    await expect(run({ command: ["/no/such/program"] })).rejects.toThrow("ENOENT");
    expect(() => external({ ...options, command: [""] })).toThrow(
      "the command of plugin '@acme/vdc-external' names no program",
    );
  });
});
