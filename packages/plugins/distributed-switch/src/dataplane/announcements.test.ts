import { expect, it } from "vitest";
import { access, Bench, frame, nic, trunk } from "../../test/engine-bench.ts";
import { BROADCAST_MAC } from "./mac-address.ts";

it("tells of a trunk in each of its VLANs, of a wide one in those that somebody else uses", () => {
  const bench = new Bench({}, ["h2"]);
  bench.port(1, access(30));
  bench.fromPeer("h2", 30, frame(BROADCAST_MAC, nic(40)));
  const small = bench.port(2, trunk(10, 12));
  bench.engine.announce(small);
  expect(bench.tunnelled.splice(0).map(({ vlan, tag }) => [vlan, tag])).toEqual(
    [10, 11, 12].map((vlan) => [vlan, undefined]),
  );
  const wide = bench.port(3, trunk(1, 4094));
  bench.fromPeer("h2", 500, frame(BROADCAST_MAC, nic(41)));
  bench.take();
  bench.engine.announce(wide);
  expect(bench.tunnelled.splice(0).map(({ vlan }) => vlan)).toEqual([10, 11, 12, 30, 500]);
  expect(bench.take().p2?.map(({ tag }) => tag)).toEqual([10, 11, 12]);
  for (let vlan = 1001; vlan <= 1200; vlan += 1) bench.fromPeer("h2", vlan, frame(BROADCAST_MAC, nic(41)));
  bench.engine.announce(wide);
  expect(bench.tunnelled.splice(0)).toHaveLength(64);
});

it("tells of the stations behind a port, and not of too many", () => {
  const bench = new Bench({}, ["h2"]);
  const settings = { security: { forgedTransmits: true }, macLearning: { enabled: true } };
  const nested = bench.port(1, trunk(10, 20, 10), settings);
  bench.send(nested, frame(BROADCAST_MAC, nic(60), { tag: 15 }));
  bench.tunnelled.splice(0);
  bench.engine.announce(nested);
  const vlans = bench.tunnelled.splice(0).map(({ vlan }) => vlan);
  expect(vlans).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 15]);
  const crowded = bench.port(2, access(30), settings);
  for (let station = 100; station < 400; station += 1) bench.send(crowded, frame(BROADCAST_MAC, nic(station)));
  bench.tunnelled.splice(0);
  bench.engine.announce(crowded);
  expect(bench.tunnelled).toHaveLength(257);
});
