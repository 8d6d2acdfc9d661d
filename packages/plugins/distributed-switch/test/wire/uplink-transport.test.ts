import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { DataPlane } from "../../src/dataplane/control.ts";
import { DeviceStream } from "../../src/wire/tap/device-stream.ts";
import { UplinkInterface } from "../../src/wire/tap/uplink-interface.ts";
import { systemClock } from "../../src/wire/wire-clock.ts";
import { hasMacvtap, InterfaceWire } from "./interface-wire.ts";
import { NodeStation } from "./node-station.ts";

it.runIf(hasMacvtap())("two hosts' data planes share VLANs by the interfaces of a physical network", async () => {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), "vdc-wire-"));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const wire = stack.use(new InterfaceWire());
  const tagged: boolean[] = [];
  const stations = await Promise.all(
    [wire.a, wire.b].map(async (interfaceName, index) => {
      const path = join(directory, `uplink${index}.sock`);
      const uplink = stack.use(
        new DeviceStream({
          ...{ path, clock: systemClock },
          open: (handlers) =>
            UplinkInterface.open({
              ...handlers,
              interfaceName,
              onFrame: (buffer, start, end) => {
                if (buffer.readUInt16BE(start + 12) === 0x8100)
                  tagged.push((buffer.readUInt16BE(start + 14) & 0xfff) === 12);
                handlers.onFrame(buffer, start, end);
              },
            }),
        }),
      );
      await uplink.start();
      expect(uplink.reason).toBeUndefined();
      const station = new NodeStation({ mac: 0x5254_0000_0a01 + index, address: `10.3.0.${index + 1}` });
      const socketPath = join(directory, `nic${index}.sock`);
      stack.use(await station.listen(socketPath));
      const up = Promise.withResolvers<void>();
      const uplinkUp = Promise.withResolvers<void>();
      const plane = new DataPlane({
        redialMs: 5,
        onLink: ({ link }) => link === "up" && up.resolve(),
        onUplink: ({ link }) => link === "up" && uplinkUp.resolve(),
      });
      stack.defer(() => plane.close());
      await plane.apply({
        generation: 1,
        switches: [
          {
            ...({ key: "prod", vniBase: 4096, maxMtu: 8900, peers: [], transport: "uplinks" } as const),
            uplinks: [{ name: "up0", backing: { kind: "stream", path } }],
            ports: [
              {
                key: `nic${index}`,
                socketPath,
                settings: { macAddress: station.macAddress, vlan: { kind: "access", id: 12 } },
              },
            ],
          },
        ],
      });
      await Promise.all([up.promise, uplinkUp.promise]);
      return station;
    }),
  );
  const [a, b] = stations;
  expect(await a?.ping("10.3.0.2", { largest: 8800 })).toBe(b?.mac);
  expect(await b?.ping("10.3.0.1", { largest: 8800 })).toBe(a?.mac);
  expect(tagged.length).toBeGreaterThan(10);
  expect(tagged.every(Boolean)).toBe(true);
});
