import type { VmNic } from "@vdc-os/core/compute/v1";
import { buildFrame, headerBytes } from "../network/ethernet-frame.ts";
import type { SimulatedNic } from "../network/simulated-nic.ts";
import type { WorldServices } from "../world/world-services.ts";

/** The EtherType that IEEE 802 keeps for local experiments (IEEE 802, 9.2.4): simulated guests speak no real protocol. */
const etherType = 0x88b5;

const broadcast = "ff:ff:ff:ff:ff:ff";

/** What simulated guests say to each other. */
type Message = { readonly ask: string; readonly id: number } | { readonly answer: number; readonly body: string };

/** The network side of a simulated guest: pages are asked for by address and answered over the simulated switch. */
export class GuestNetwork {
  readonly #ports: { readonly nic: SimulatedNic; readonly mac: string }[] = [];
  readonly #answers: Map<number, (body: string) => void> = new Map();
  #asked = 0;

  /** `page` is what the guest serves: nothing, while it has no address or is not up. */
  constructor(world: WorldServices, nics: readonly VmNic[], page: (address: string) => string | undefined) {
    for (const { attachment, mac } of nics) {
      let nic: SimulatedNic;
      try {
        nic = world.openNic(attachment);
      } catch {
        // A NIC without a port: the cable is not plugged in, which stops no machine.
        continue;
      }
      this.#ports.push({ nic, mac });
      nic.listen((frame) => this.#receive(nic, mac, frame, page));
    }
  }

  /** Asks for an address's page, once. `onAnswer` is called if somebody answers. */
  ask(address: string, onAnswer: (body: string) => void): void {
    this.#asked += 1;
    const id = this.#asked;
    this.#answers.clear();
    this.#answers.set(id, onAnswer);
    for (const { nic, mac } of this.#ports) nic.send(toFrame(broadcast, mac, { ask: address, id }));
  }

  close(): void {
    this.#answers.clear();
    for (const { nic } of this.#ports) nic.close();
  }

  #receive(nic: SimulatedNic, mac: string, frame: Uint8Array, page: (address: string) => string | undefined): void {
    const message = fromFrame(frame);
    if (message === undefined) return;
    if ("answer" in message) {
      const onAnswer = this.#answers.get(message.answer);
      this.#answers.delete(message.answer);
      onAnswer?.(message.body);
      return;
    }
    const body = page(message.ask);
    if (body === undefined) return;
    const asker = [...frame.subarray(6, 12)].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
    nic.send(toFrame(asker, mac, { answer: message.id, body }));
  }
}

function toFrame(destination: string, source: string, message: Message): Uint8Array {
  return buildFrame(destination, source, etherType, Buffer.from(JSON.stringify(message)));
}

function fromFrame(frame: Uint8Array): Message | undefined {
  if (frame[12] !== etherType >> 8 || frame[13] !== (etherType & 0xff)) return undefined;
  try {
    return JSON.parse(Buffer.from(frame.subarray(headerBytes)).toString("utf8")) as Message;
  } catch {
    return undefined;
  }
}
