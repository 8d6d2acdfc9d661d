import { expect, it } from "vitest";
import { access, Bench, frame, nic, nicText } from "../../test/engine-bench.ts";
import { LENGTH_PREFIX_BYTES, recordOf } from "./ethernet-frame.ts";
import { BROADCAST_MAC } from "./mac-address.ts";
import { PeerIngress } from "./peer-ingress.ts";

it("follows a port that has moved, and what is behind it, for a while after its move has ended, unless it is back", () => {
  let now = 0;
  const bench = new Bench({}, ["h2", "h3"]);
  bench.port(1, access(10));
  const sent: string[] = [];
  const ingress = new PeerIngress({
    switchKey: "sw",
    now: () => now,
    engine: bench.engine,
    tunnel: {
      send: (peer) => {
        sent.push(peer);
        return 1;
      },
      flood: () => 0,
      peers: () => [],
    },
    mirrorTarget: () => undefined,
  });
  const comes = (station: number, from = "h3"): string[] => {
    const record = recordOf(frame(nic(station), nic(99)));
    ingress.receiveFromPeer(from, 10, record, LENGTH_PREFIX_BYTES, record.length);
    return sent.splice(0);
  };
  const moved = [{ mac: nicText(2), peer: "h2" }];
  expect(comes(2)).toEqual([]);
  ingress.redirect(moved, []);
  ingress.followed(nic(2), () => [nic(60)]);
  ingress.followed(nic(3), () => [nic(61)]);
  now = 1_000_000;
  expect([comes(2), comes(60), comes(61), comes(1), comes(2, "h2")]).toEqual([["h2"], ["h2"], [], [], []]);
  ingress.redirect([], []);
  now += 2_999;
  expect([comes(2), comes(60)]).toEqual([["h2"], ["h2"]]);
  // Another configuration doesn't make it longer.
  ingress.redirect([], []);
  now += 1;
  expect([comes(2), comes(60)]).toEqual([[], []]);
  ingress.redirect(moved, []);
  expect(comes(2)).toEqual(["h2"]);
  ingress.redirect([], [{ settings: { macAddress: nicText(2) } }]);
  expect([comes(2), comes(60)]).toEqual([[], []]);
});

it("does not look for who sent a frame at the host that passed it on, until a while after the move has ended", () => {
  let now = 0;
  const bench = new Bench({}, ["h2", "h3"]);
  const port = bench.port(1, access(10));
  const ingress = new PeerIngress({
    switchKey: "sw",
    now: () => now,
    engine: bench.engine,
    tunnel: { send: () => 1, flood: () => 0, peers: () => [] },
    mirrorTarget: () => undefined,
  });
  /** Where a station is looked for whose frame came by `h2`. */
  const learned = (station: number, to = nic(1)): string[] => {
    const record = recordOf(frame(to, nic(station)));
    ingress.receiveFromPeer("h2", 10, record, LENGTH_PREFIX_BYTES, record.length);
    bench.send(port, frame(nic(station), nic(1)));
    return bench.tunnelled.splice(0).map(({ peer }) => peer);
  };
  expect(learned(50)).toEqual(["h2"]);
  ingress.arrivals(["h2"]);
  expect([learned(51), learned(50), learned(52, BROADCAST_MAC)]).toEqual([["h2", "h3"], ["h2"], ["h2"]]);
  ingress.arrivals([]);
  expect(learned(53)).toEqual(["h2", "h3"]);
  now = 3_000;
  expect(learned(53)).toEqual(["h2"]);
});
