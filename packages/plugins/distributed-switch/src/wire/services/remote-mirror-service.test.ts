import { describe, expect, it } from "vitest";
import { readVxlanVni } from "../../dataplane/vxlan-header.ts";
import { readErspan } from "../mirror/erspan-packet.ts";
import type { DatagramSender } from "./datagram-sender.ts";
import { type RemoteMirrorCopy, type RemoteMirrorOptions, RemoteMirrorService } from "./remote-mirror-service.ts";

const buffer = Buffer.alloc(2000, 0xab);
const copy: RemoteMirrorCopy = {
  ...{ session: "to-analyser", destination: { kind: "vxlan", address: "127.0.0.1", vni: 99 } },
  ...{ buffer, start: 4, end: 104, originalLength: 100, vlan: 10, tagged: false, direction: "in" },
};
const erspan: RemoteMirrorCopy = {
  ...copy,
  session: "old",
  destination: { kind: "erspan", address: "192.0.2.9", session: 5 },
};

function mirror(options: Partial<RemoteMirrorOptions> = {}): {
  readonly service: RemoteMirrorService;
  readonly datagrams: { readonly bytes: Buffer; readonly port: number }[];
  readonly packets: Buffer[];
} {
  const datagrams: { bytes: Buffer; port: number }[] = [];
  const packets: Buffer[] = [];
  const sender: DatagramSender = {
    send: (parts, { port }) => datagrams.push({ bytes: Buffer.concat(parts), port }) > 0,
    failed: 0,
    failure: undefined,
    close: () => Promise.resolve(),
  };
  const gre = () => ({ send: (packet: Buffer) => packets.push(packet) > 0, close: () => undefined });
  const service = new RemoteMirrorService({ sender, gre, ...options });
  service.start();
  return { service, datagrams, packets };
}

describe("RemoteMirrorService", () => {
  it("sends copies by VXLAN", () => {
    const { service, datagrams } = mirror();
    expect(service.mirror(copy)).toBe(true);
    expect(datagrams[0]?.port).toBe(4789);
    const datagram = datagrams[0]?.bytes ?? Buffer.alloc(0);
    expect(readVxlanVni(datagram)).toBe(99);
    expect(datagram.subarray(8)).toEqual(buffer.subarray(4, 104));
    expect(service.status()).toEqual([{ session: "to-analyser", copied: 1, octets: 100, cut: 0, dropped: 0 }]);
  });

  it("sends copies by ERSPAN, numbered, and says when one is cut", () => {
    const { service, packets } = mirror();
    service.mirror(erspan);
    service.mirror({ ...erspan, originalLength: 900, direction: "out", tagged: true });
    service.mirror({ ...erspan, end: 1518, originalLength: 1514 });
    const [first, second, third] = packets.map(readErspan);
    expect(first).toMatchObject({ session: 5, sequence: 1, vlan: 10, truncated: false, direction: "in" });
    expect(second).toMatchObject({ sequence: 2, truncated: true, direction: "out", tagged: true, priority: 5 });
    expect(third).toMatchObject({ sequence: 3, truncated: true });
    // IPv4, GRE and ERSPAN headers leave so much of 1500 octets.
    expect(third?.frame.length).toBe(1500 - 20 - 16);
    expect(service.status()).toMatchObject([{ copied: 3, cut: 1 }]);
  });

  it("drops, with a reason, what can't leave, and what comes when it is stopped", () => {
    const { service } = mirror({ gre: () => "no raw sockets here" });
    expect(service.mirror(erspan)).toBe(false);
    expect(service.mirror({ ...copy, destination: { kind: "port", portKey: "p" } })).toBe(false);
    expect(service.status()).toMatchObject([
      { session: "old", dropped: 1, reason: "no raw sockets here" },
      { session: "to-analyser", dropped: 1 },
    ]);
    service.keep(new Set(["old"]));
    expect(service.status()).toHaveLength(1);
    service.stop();
    expect(service.mirror(copy)).toBe(false);
    expect(service.status()).toEqual([]);
  });
});
