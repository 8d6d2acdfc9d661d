import { describe, expect, it } from "vitest";
import { ManualClock } from "../test/manual-clock.ts";
import { DevicePort, type FrameDevice } from "./device-port.ts";
import type { DeviceHandlers } from "./tap-device.ts";

class FakeDevice implements FrameDevice {
  readonly handlers: DeviceHandlers;
  readonly delivered: number[] = [];
  closed = 0;

  constructor(handlers: DeviceHandlers) {
    this.handlers = handlers;
  }

  deliver(_buffer: Buffer, start: number, end: number): undefined {
    this.delivered.push(end - start);
  }

  close(): void {
    this.closed += 1;
  }
}

function portWith(failures: string[] = []): {
  readonly port: DevicePort;
  readonly devices: FakeDevice[];
  readonly clock: ManualClock;
  readonly links: (string | boolean)[];
  readonly frames: number[];
} {
  const devices: FakeDevice[] = [];
  const links: (string | boolean)[] = [];
  const frames: number[] = [];
  const clock = new ManualClock();
  const port = new DevicePort({
    clock,
    open: (handlers) => {
      const failure = failures.shift();
      if (failure !== undefined) throw new Error(failure);
      const device = new FakeDevice(handlers);
      devices.push(device);
      return device;
    },
    onFrame: (_buffer, start, end) => frames.push(end - start),
    onBatchEnd: () => undefined,
    onLink: (up, reason) => links.push(reason ?? up),
  });
  return { port, devices, clock, links, frames };
}

describe("DevicePort", () => {
  it("is a link while its device is open", async () => {
    const { port, devices, links, frames } = portWith();
    const bytes = Buffer.alloc(60);
    expect(port.deliver(bytes, 0, 60)).toBe("linkDown");
    await port.dial();
    expect([port.up, port.reason, links]).toEqual([true, undefined, [true]]);
    expect(port.deliver(bytes, 0, 60)).toBeUndefined();
    devices[0]?.handlers.onFrame(bytes, 4, 60);
    expect([devices[0]?.delivered, frames]).toEqual([[60], [56]]);
    await port.close();
    expect([devices[0]?.closed, port.up]).toEqual([1, false]);
    devices[0]?.handlers.onFrame(bytes, 4, 60);
    expect(frames).toHaveLength(1);
  });

  it("opens it again when it is gone, less and less often", async () => {
    const { port, devices, clock, links } = portWith();
    await port.dial();
    devices[0]?.handlers.onClose?.("the interface was removed");
    expect([port.up, port.reason, devices[0]?.closed]).toEqual([false, "the interface was removed", 1]);
    clock.advance(99);
    expect(devices).toHaveLength(1);
    clock.advance(1);
    await Promise.resolve();
    expect([devices.length, port.up]).toEqual([2, true]);
    expect(links).toEqual([true, "the interface was removed", true]);
    // The one before has no say any more.
    devices[0]?.handlers.onClose?.("late");
    expect(port.up).toBe(true);
    await port.close();
    expect(clock.timers).toBe(0);
  });

  it("says why it can't be opened, once", async () => {
    const { port, clock, links } = portWith(["no right", "no right", "no right"]);
    await port.dial();
    clock.advance(100);
    await Promise.resolve();
    clock.advance(199);
    expect([port.dials, port.reason, links]).toEqual([2, "no right", ["no right"]]);
    clock.advance(1);
    clock.advance(400);
    await Promise.resolve();
    expect([port.dials, port.up]).toEqual([4, true]);
    await port.close();
  });
});
