import { expect, it } from "vitest";
import { Fabric, mesh, VNI_BASE } from "./fabric.ts";
import { recordBytes, testFrame } from "./fake-nic.ts";

it("carries frames between NICs of one host and across the tunnel, and no further than their VLAN", async () => {
  await using fabric = await Fabric.create();
  const [one, two] = [await fabric.host(), await fabric.host()];
  const [a, b, c, d] = [await fabric.nic(), await fabric.nic(), await fabric.nic(), await fabric.nic()];
  mesh([one, two]);
  one.port("a", a, { vlan: { kind: "access", id: 10 } });
  one.port("b", b, { vlan: { kind: "trunk", ranges: [{ from: 1, to: 20 }] } });
  two.port("c", c, { vlan: { kind: "access", id: 10 } });
  two.port("d", d, { vlan: { kind: "access", id: 20 } });
  await Promise.all([one.applyAndConnect(), two.applyAndConnect()]);
  a.say("who has c?", "all");
  await Promise.all([b.heard("who has c?@10"), c.heard("who has c?")]);
  c.say("c is here", a);
  await a.heard("c is here");
  a.say("hello c", c);
  b.say("hello d", d, { tag: 20 });
  await Promise.all([c.heard("hello c"), d.heard("hello d")]);
  expect(b.texts).toEqual(["who has c?@10"]);
  expect(d.texts).toEqual(["hello d"]);
  const [first] = (await one.plane.status()).switches;
  expect(first?.peers[0]).toMatchObject({ in: { frames: 1, dropped: 0 }, out: { frames: 3, broadcast: 1 } });
  expect(first?.learnedAddresses).toBe(1);
  const statistics = await one.plane.portStatistics(["a"]);
  expect(statistics).toMatchObject([
    { key: "a", in: { frames: 2, octets: 120, broadcast: 1, dropped: 0 }, forwarded: 2, held: 0, out: { frames: 1 } },
  ]);
  const status = await one.plane.status();
  expect(JSON.parse(JSON.stringify(status))).toEqual(status);
});

it("replicates a broadcast to every host once, and never from tunnel to tunnel", async () => {
  await using fabric = await Fabric.create();
  const hosts = [await fabric.host(), await fabric.host(), await fabric.host()];
  const nics = [await fabric.nic(), await fabric.nic(), await fabric.nic()];
  mesh(hosts);
  for (const [index, host] of hosts.entries()) {
    const nic = nics[index];
    if (nic !== undefined) host.port(`nic${index}`, nic);
  }
  await Promise.all(hosts.map((host) => host.applyAndConnect()));
  for (const [index, nic] of nics.entries()) {
    nic.say(`from ${index}`, "all");
    await Promise.all(nics.filter((each) => each !== nic).map((each) => each.heard(`from ${index}`)));
  }
  expect(nics.map(({ texts }) => texts)).toEqual([
    ["from 1", "from 2"],
    ["from 0", "from 2"],
    ["from 0", "from 1"],
  ]);
  for (const host of hosts) {
    const peers = (await host.plane.status()).switches[0]?.peers ?? [];
    expect(peers.map(({ out, in: inward }) => [out.frames, inward.frames])).toEqual([
      [1, 1],
      [1, 1],
    ]);
  }
});

it("keeps order and counts under a burst of many frames in few writes", async () => {
  await using fabric = await Fabric.create();
  const host = await fabric.host();
  const [a, b, c] = [await fabric.nic(), await fabric.nic(), await fabric.nic()];
  for (const [key, nic] of Object.entries({ a, b, c })) host.port(key, nic);
  await host.applyAndConnect();
  const count = 3000;
  const frames = Array.from({ length: count }, (_, index) =>
    testFrame({ to: index % 3 === 0 ? c.mac : b.mac, from: a.mac, text: `${index}`, length: 60 + (index % 1400) }),
  );
  for (let at = 0; at < count; at += 100) {
    a.send(...frames.slice(at, at + 100));
    const last = frames.slice(at, at + 100).length + at - 1;
    await (last % 3 === 0 ? c : b).heard(`${last}`);
  }
  await Promise.all([b.until(({ frames }) => frames.length === 2000), c.until(({ frames }) => frames.length === 1000)]);
  const expected = frames.map((_, index) => `${index}`);
  expect(b.texts).toEqual(expected.filter((_, index) => index % 3 !== 0));
  expect(c.texts).toEqual(expected.filter((_, index) => index % 3 === 0));
  const [toB] = await host.plane.portStatistics(["b"]);
  expect(toB?.out).toMatchObject({ frames: 2000, dropped: 0 });
});

it("drops at the tail, counted, when a NIC doesn't read, and never queues more than its limit", async () => {
  await using fabric = await Fabric.create();
  const host = await fabric.host({ limits: { portQueueBytes: 64 * 1024 } });
  const [a, b, c] = [await fabric.nic(), await fabric.nic(), await fabric.nic()];
  for (const [key, nic] of Object.entries({ a, b, c })) host.port(key, nic);
  await host.applyAndConnect();
  b.pause();
  const filler = testFrame({ to: b.mac, from: a.mac, text: "filler", length: 1514 });
  const rounds = 40;
  for (let round = 0; round < rounds; round += 1) {
    a.send(...Array.from({ length: 50 }, () => filler));
    a.say(`round ${round}`, c);
    await c.heard(`round ${round}`);
  }
  const [before] = await host.plane.portStatistics(["b"]);
  const { frames = 0, dropped = 0, drops } = before?.out ?? {};
  expect(dropped).toBeGreaterThan(0);
  expect(drops).toEqual({ queueFull: dropped });
  expect(frames + dropped).toBe(rounds * 50);
  b.resume();
  await b.until((nic) => nic.frames.length === frames);
  a.say("after", b);
  await b.heard("after");
  expect(frames * recordBytes(filler)).toBeLessThan(rounds * 50 * recordBytes(filler));
});

it("redials a NIC that comes late or hangs up, with the port's reason to be read meanwhile", async () => {
  await using fabric = await Fabric.create();
  const host = await fabric.host();
  const a = await fabric.nic();
  host.port("a", a);
  host.ports.push({
    key: "late",
    socketPath: `${fabric.directory}/nic2.sock`,
    settings: { macAddress: "52:54:00:00:01:02", vlan: { kind: "none" } },
  });
  await host.apply();
  await host.untilPorts((ports) => ports.some(({ key, reason }) => key === "late" && reason === "ENOENT"));
  const late = await fabric.nic();
  await host.untilPorts((ports) => ports.every(({ link }) => link === "up"));
  late.say("here at last", a);
  await a.heard("here at last");
  late.hangUp();
  await host.untilPorts((ports) => ports.some(({ key, link }) => key === "late" && link === "down"));
  await host.untilPorts((ports) => ports.every(({ link }) => link === "up"));
  late.say("again", a);
  await a.heard("again");
  late.sendRaw(Buffer.from("ffffffff", "hex"));
  await host.untilPorts((ports) => ports.some(({ reason }) => reason?.startsWith("framing lost") === true));
  await host.untilPorts((ports) => ports.every(({ link }) => link === "up"));
});

it("restores traffic after its own restart without the VM's doing", async () => {
  await using fabric = await Fabric.create();
  const [a, b] = [await fabric.nic(), await fabric.nic()];
  const before = await fabric.host();
  before.port("a", a);
  before.port("b", b);
  await before.applyAndConnect();
  a.say("before", b);
  await b.heard("before");
  await before.plane.close();
  await Promise.all([a.until(({ connected }) => !connected), b.until(({ connected }) => !connected)]);
  const after = await fabric.host();
  after.ports = before.ports;
  await after.applyAndConnect();
  await Promise.all([a.until(({ connected }) => connected), b.until(({ connected }) => connected)]);
  a.say("after", b);
  await b.heard("after");
});

it("applies idempotently, refuses the past and contradictions whole, and never bounces an unchanged port", async () => {
  await using fabric = await Fabric.create();
  const host = await fabric.host();
  const [a, b] = [await fabric.nic(), await fabric.nic()];
  host.port("a", a, { vlan: { kind: "access", id: 10 } });
  host.port("b", b, { vlan: { kind: "access", id: 20 } });
  await host.applyAndConnect();
  await host.plane.setGate("b", "hold");
  host.port("a", a, { vlan: { kind: "access", id: 20 } });
  await host.apply();
  const config = {
    generation: host.generation,
    vtep: { listen: host.listenOn, underlayMtu: 65535 },
    switches: [{ key: "switch-a", vniBase: VNI_BASE, peers: [], ports: host.ports }],
  };
  expect(await host.plane.apply(config)).toEqual({ generation: host.generation });
  await expect(host.plane.apply({ ...config, generation: 1 })).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
  await expect(host.plane.apply({ ...config, switches: [] })).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
  const generation = host.generation + 1;
  const self = { key: "self", ...host.listenOn };
  await expect(
    host.plane.apply({
      generation,
      vtep: { listen: host.listenOn },
      switches: [{ key: "s", vniBase: VNI_BASE, peers: [self], ports: [...host.ports, ...host.ports] }],
    }),
  ).rejects.toMatchObject({
    code: "INVALID_ARGUMENT",
    details: [
      "port 'a' is there more than once",
      "port 'b' is there more than once",
      `socketPath '${a.path}' is there more than once`,
      `socketPath '${b.path}' is there more than once`,
      "switch 's': peer 'self' is this host itself",
      "switch 's': maxMtu 1500 is more than the 1450 that the tunnel leaves of the underlay's MTU",
    ],
  });
  await expect(
    host.plane.apply({ ...config, generation, vtep: { listen: { address: "192.0.2.1", port: 0 } } }),
  ).rejects.toMatchObject({ code: "UNAVAILABLE", retryable: true });
  await expect(host.plane.setGate("c", "open")).rejects.toMatchObject({ code: "NOT_FOUND" });
  const status = await host.plane.status();
  expect(status.generation).toBe(host.generation);
  expect(status.ports).toMatchObject([
    { key: "a", link: "up", gate: "open", dials: 1 },
    { key: "b", link: "up", gate: "hold", dials: 1 },
  ]);
  a.say("same VLAN now", b);
  await b.heard("same VLAN now");
  expect([a.connections, b.connections]).toEqual([1, 1]);
});

it("holds and releases by the gate, and moves an address to the host whose gate opens", async () => {
  await using fabric = await Fabric.create();
  const [one, two] = [await fabric.host(), await fabric.host()];
  const [client, source] = [await fabric.nic(), await fabric.nic()];
  const destination = await fabric.nic();
  mesh([one, two]);
  one.port("client", client);
  one.port("vm", source);
  const incoming = two.port("vm", destination, { macAddress: source.mac });
  two.ports = [{ ...incoming, initialGate: "drop" }];
  await Promise.all([one.applyAndConnect(), two.applyAndConnect()]);
  await one.plane.setGate("vm", "hold");
  source.say("held 1", client);
  source.say("held 2", client);
  client.say("still reaches the VM", source);
  await source.heard("still reaches the VM");
  while ((await one.plane.portStatistics(["vm"]))[0]?.held !== 2) await new Promise((resolve) => setImmediate(resolve));
  expect(await one.plane.release("vm", 1)).toEqual({ gate: "hold", held: 1, moved: 1 });
  await client.heard("held 1");
  expect(await one.plane.setGate("vm", "drop")).toEqual({ gate: "drop", held: 0, moved: 1 });
  await two.plane.setGate("vm", "open");
  const isAnnouncement = (frame: Buffer): boolean => frame.readUInt16BE(12) === 0x8035;
  await client.until(({ frames }) => frames.some(isAnnouncement));
  client.say("to the new host", source);
  await destination.heard("to the new host");
  expect(client.texts).toEqual(["held 1"]);
  expect(source.texts).toEqual(["still reaches the VM"]);
});
