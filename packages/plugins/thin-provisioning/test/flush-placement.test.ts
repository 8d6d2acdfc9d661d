import type { Qcow2Image } from "@vdc-os/qcow2";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FlushPlacement } from "../src/server/flush-placement.ts";
import { ImageBackend } from "../src/server/image-backend.ts";

/** An image that tells how much of what was written is durable, and where it was flushed. */
class CountingImage {
  readonly readOnly = false;
  readonly sizeBytes = 1 << 30;
  written = 0;
  durable = 0;
  readonly log: ("here" | "beside")[] = [];
  failure: Error | undefined;
  readonly #pending: (() => void)[] = [];

  writeSync(): void {
    this.written++;
  }

  readWithoutWaiting(): undefined {}

  flushSync(): void {
    if (this.durable === this.written) return;
    if (this.failure) throw this.failure;
    this.log.push("here");
    this.durable = this.written;
  }

  async flush(): Promise<void> {
    this.log.push("beside");
    const covered = this.written;
    await new Promise<void>((resolve) => this.#pending.push(resolve));
    this.durable = Math.max(this.durable, covered);
  }

  /** The disk has done what it was asked. */
  settle(): void {
    for (const resolve of this.#pending.splice(0)) resolve();
  }
}

function backendOf(image: CountingImage, activity = { requests: 0 }): ImageBackend {
  return new ImageBackend({
    image: image as unknown as Qcow2Image,
    space: undefined,
    outOfSpace: "pause",
    detectZeroes: false,
    activity,
    // No flush takes any time here, however busy the machine is.
    now: () => 0,
  });
}

const block = Buffer.alloc(4096, 1);

async function flush(image: CountingImage, backend: ImageBackend): Promise<void> {
  const flushed = backend.flush();
  image.settle();
  await flushed;
}

/** Lets what a write has begun run. */
const turn = (): Promise<void> => Promise.resolve();

async function pair(image: CountingImage, backend: ImageBackend): Promise<boolean> {
  backend.write(block, 0);
  await turn();
  const isAhead = image.durable === image.written;
  await flush(image, backend);
  return isAhead;
}

describe("where a volume is flushed", () => {
  it("is here for a client that is alone, but for every 16th flush", async () => {
    const image = new CountingImage();
    const backend = backendOf(image);
    for (let step = 0; step < 48; step++) {
      // A read keeps the flush from being expected.
      backend.read(Buffer.alloc(1), 0);
      await pair(image, backend);
    }
    expect(image.log.map((place, index) => (place === "beside" ? index : -1)).filter((index) => index >= 0)).toEqual([
      0, 16, 32,
    ]);
  });

  it("is another thread while another volume of the process is used", async () => {
    const activity = { requests: 0 };
    const [image, other] = [new CountingImage(), new CountingImage()];
    const [backend, beside] = [backendOf(image, activity), backendOf(other, activity)];
    await pair(image, backend);
    await pair(image, backend);
    expect(image.log).toEqual(["beside", "here"]);
    for (let step = 0; step < 20; step++) {
      beside.read(Buffer.alloc(1), 0);
      await pair(image, backend);
    }
    expect(image.log.slice(2).every((place) => place === "beside")).toBe(true);
  });

  it("is another thread for a client that sends more meanwhile", async () => {
    const image = new CountingImage();
    const backend = backendOf(image);
    for (let step = 0; step < 20; step++) {
      backend.write(block, 0);
      const flushed = backend.flush();
      backend.read(Buffer.alloc(1), 0);
      image.settle();
      await flushed;
    }
    expect(image.log.every((place) => place === "beside")).toBe(true);
  });

  it("is another thread after much was written", async () => {
    const image = new CountingImage();
    const backend = backendOf(image);
    await pair(image, backend);
    backend.write(Buffer.alloc(1024 * 1024, 1), 0);
    await flush(image, backend);
    expect(image.log).toEqual(["beside", "beside"]);
  });

  it("is another thread while a flush takes long", async () => {
    let now = 0;
    const placement = new FlushPlacement({ requests: 0 }, () => now);
    await placement.beside(async () => {});
    expect(placement.isInPlace).toBe(true);
    placement.inPlace(() => {
      now += 20;
    });
    expect(placement.isInPlace).toBe(false);
    await placement.beside(async () => {
      now += 20;
    });
    expect(placement.isInPlace).toBe(false);
    await placement.beside(async () => {});
    expect(placement.isInPlace).toBe(true);
  });
});

describe("a flush after each write", () => {
  it("is begun before it is asked for, until the habit is broken", async () => {
    const image = new CountingImage();
    const backend = backendOf(image);
    const ahead: boolean[] = [];
    for (let step = 0; step < 12; step++) ahead.push(await pair(image, backend));
    expect(ahead.indexOf(true)).toBe(8);
    backend.write(block, 0);
    backend.write(block, 4096);
    await flush(image, backend);
    expect(await pair(image, backend)).toBe(false);
  });

  it("that fails ahead fails for who asks", async () => {
    const image = new CountingImage();
    const backend = backendOf(image);
    for (let step = 0; step < 12; step++) await pair(image, backend);
    image.failure = Object.assign(new Error("gone"), { code: "FAILED" });
    backend.write(block, 0);
    await turn();
    expect(() => backend.flush()).toThrow("gone");
  });
});

it("whatever is asked in whatever order, an answered flush covers every write before it", async () => {
  const step = fc.constantFrom("write", "flush", "pair", "pair", "read", "other", "settle");
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 120 }), async (steps) => {
      const activity = { requests: 0 };
      const image = new CountingImage();
      const backend = backendOf(image, activity);
      const flushes: Promise<void>[] = [];
      const ask = (): void => {
        const { written } = image;
        const check = (): void => expect(image.durable).toBeGreaterThanOrEqual(written);
        const flushed = backend.flush();
        if (flushed === undefined) check();
        else flushes.push(Promise.resolve(flushed).then(check));
      };
      for (const what of steps) {
        if (what === "write") backend.write(block, 0);
        else if (what === "flush") ask();
        else if (what === "read") backend.read(Buffer.alloc(1), 0);
        else if (what === "other") activity.requests++;
        else if (what === "settle") image.settle();
        else {
          backend.write(block, 0);
          await turn();
          ask();
          image.settle();
        }
        await turn();
      }
      image.settle();
      await Promise.all(flushes);
    }),
    { seed: 20261123, numRuns: process.env.VDC_DEEP ? 20_000 : 300 },
  );
});
