import type { DummyPort } from "@vdc-os/ovsdb/testing";
import type { SuiteNic } from "@vdc-os/ready/network";

/** A NIC on a dummy device, which drops what exceeds a hundred frames waiting, and takes about one per turn of its daemon's loop. */
export function pacedNic(port: DummyPort, unplug: () => Promise<void>): SuiteNic {
  const waiting: Uint8Array[] = [];
  let timer: NodeJS.Timeout | undefined;
  const nic = {
    send(frame: Uint8Array): void {
      waiting.push(frame);
      timer ??= setInterval(() => {
        if (!port.closed) port.send(...waiting.splice(0, 10));
        if (waiting.length > 0 && !port.closed) return;
        clearInterval(timer);
        timer = undefined;
      }, 2);
    },
    onFrame: (_frame: Uint8Array): void => undefined,
    async close(): Promise<void> {
      clearInterval(timer);
      await port[Symbol.asyncDispose]();
      await unplug();
    },
  };
  port.onFrame = (frame) => nic.onFrame(frame);
  return nic;
}
