import type { PortBinding } from "@vdc-os/core/network/v1";
import type { PortPlug } from "./port-plug.ts";
import type { SimulatedNic } from "./simulated-nic.ts";
import type { SwitchPort } from "./switch-port.ts";

/** What a NIC is joined to. */
export interface NicSide {
  receive(frame: Uint8Array): void;
  unplugged(): void;
}

/** The path of a binding's attachment. */
export function pathOf(binding: PortBinding): string | undefined {
  return binding.attachment.kind === "qemu-stream" ? binding.attachment.path : undefined;
}

/** The VM's end of a binding. */
export function openPort(
  port: SwitchPort,
  { binding, plug }: { readonly binding: PortBinding; readonly plug: PortPlug },
  side: NicSide,
): SimulatedNic {
  const isOwner = (): boolean => port.binding === binding;
  /** A NIC may be put in, and listen, before its port has moved to it. */
  const mayListen = (): boolean => isOwner() || binding.generation > Math.max(port.newest, port.revoked);
  return {
    get linked() {
      return isOwner();
    },
    send(frame) {
      if (isOwner()) {
        side.receive(frame);
        return;
      }
      port.arrive(frame);
      port.drop(frame, mayListen() ? "gateDrop" : "fenced");
    },
    listen(onFrame) {
      if (!mayListen()) return;
      plug.listener = onFrame;
      for (const frame of plug.waiting.splice(0)) onFrame(frame);
    },
    take: () => (isOwner() ? plug.waiting.splice(0) : []),
    close() {
      plug.listener = undefined;
      plug.plugged = false;
      if (isOwner()) side.unplugged();
    },
  };
}
