import { TapDevice } from "../../src/wire/tap/tap-device.ts";
import { readTestFrame, testFrame } from "../fake-nic.ts";

/** Plays a VM monitor that opens a tap: what it writes, the VM sent. */
export class TapNic implements Disposable {
  readonly mac: string;
  readonly frames: Buffer[] = [];
  readonly #tap: TapDevice;
  readonly #waiting = new Set<() => void>();

  constructor(name: string, mac: string) {
    this.mac = mac;
    this.#tap = TapDevice.open({
      name,
      onFrame: (buffer, start, end) => this.frames.push(Buffer.from(buffer.subarray(start, end))),
      onBatchEnd: () => {
        for (const resolve of this.#waiting) resolve();
        this.#waiting.clear();
      },
    });
  }

  get texts(): string[] {
    return this.frames.flatMap((frame) => readTestFrame(frame) ?? []);
  }

  say(text: string, length = 60): void {
    const frame = testFrame({ to: "ff:ff:ff:ff:ff:ff", from: this.mac, text, length });
    this.#tap.deliver(frame, 0, frame.length);
  }

  async until(condition: (nic: TapNic) => boolean): Promise<void> {
    while (!condition(this)) await new Promise<void>((resolve) => this.#waiting.add(resolve));
  }

  [Symbol.dispose](): void {
    this.#tap.close();
  }
}
