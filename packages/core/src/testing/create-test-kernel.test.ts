import { createServer } from "node:net";
import { describe, expect, it } from "vitest";
import type { Kernel } from "../kernel/kernel.ts";
import { plainPlugin } from "../kernel/test/greeter-point.ts";
import { createTestKernel } from "./create-test-kernel.ts";

let left: Kernel | undefined;

describe("createTestKernel", () => {
  it("starts what it is given", async () => {
    left = await createTestKernel({ plugins: [plainPlugin("p")] });
    expect(left.status("p").state).toBe("ready");
  });

  it("has stopped by itself when the test was over", () => {
    expect(left?.status("p").state).toBe("stopped");
  });

  it("fails on a disposer that failed", async () => {
    const plugin = plainPlugin("p", (context) =>
      context.defer("socket", () => {
        throw new Error("still open");
      }),
    );
    const kernel = await createTestKernel({ plugins: [plugin], start: false });
    const { promise, resolve } = Promise.withResolvers<unknown>();
    await kernel.start();
    kernel[Symbol.asyncDispose]().catch(resolve);
    expect(await promise).toMatchObject({
      reason: "VDC_TEST_LEAK",
      message: "plugin 'p' did not release 'socket': still open",
    });
    // It stops again when the test ends, and would fail it: this kernel has told already.
    Object.defineProperty(kernel, Symbol.asyncDispose, { value: async () => undefined });
  });

  it("fails on a server that is still listening", async () => {
    const server = createServer();
    const plugin = plainPlugin("p", () => new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve)));
    const kernel = await createTestKernel({ plugins: [plugin] });
    await expect(kernel[Symbol.asyncDispose]()).rejects.toThrowError(/more active 'TCPServerWrap' than before/);
    await new Promise((resolve) => server.close(resolve));
  });
});
