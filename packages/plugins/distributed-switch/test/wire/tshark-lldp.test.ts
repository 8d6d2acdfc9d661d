import { expect, it } from "vitest";
import { encodeLldp, type LldpAdvertisement } from "../../src/wire/lldp/lldp-frame.ts";
import { dissect, hasTshark } from "./tshark.ts";

it.runIf(hasTshark())("tshark reads what LLDP advertises", () => {
  const whole: LldpAdvertisement = {
    chassisId: { kind: "local", value: "host-1" },
    portId: { kind: "interfaceName", value: "eth0" },
    ttlSeconds: 121,
    portDescription: "uplink1",
    systemName: "host-1.example",
    systemDescription: "VDC-OS distributed switch",
    capabilities: { supported: ["bridge", "station"], enabled: ["bridge"] },
    managementAddresses: [
      { address: "192.0.2.1", interfaceIndex: 3 },
      { address: "2001:db8::1", interfaceIndex: 0 },
    ],
    portVlan: 10,
    maxFrameSize: 1522,
  };
  const mac: LldpAdvertisement = {
    chassisId: { kind: "mac", value: "52:54:00:00:00:01" },
    portId: { kind: "mac", value: "52:54:00:00:00:02" },
    ttlSeconds: 0,
  };
  const address: LldpAdvertisement = { ...mac, chassisId: { kind: "address", value: "192.0.2.1" }, ttlSeconds: 65535 };
  const frames = [whole, mac, address].map((each) => encodeLldp(each, 0x5254_0000_0001));
  const fields = [
    ...["eth.dst", "lldp.time_to_live", "lldp.port.id", "lldp.tlv.system.name", "lldp.tlv.system.desc"],
    ...[
      "lldp.tlv.system_cap.bridge",
      "lldp.tlv.enable_system_cap.station_only",
      "lldp.mgn.addr.ip4",
      "lldp.mgn.addr.ip6",
    ],
    ...["lldp.ieee.802_1.port_vlan.id", "lldp.ieee.802_3.max_frame_size", "lldp.chassis.id.mac", "lldp.chassis.id.ip4"],
  ];
  const nearest = "01:80:c2:00:00:0e";
  const [first, second, third] = dissect(frames, fields);
  expect(first).toEqual([
    ...[nearest, "121", "eth0", "host-1.example", "VDC-OS distributed switch"],
    ...["1", "0", "192.0.2.1", "2001:db8::1", "10", "1522", "", ""],
  ]);
  expect([second?.[0], second?.[1], second?.[11]]).toEqual([nearest, "0", "52:54:00:00:00:01"]);
  expect([third?.[1], third?.[12]]).toEqual(["65535", "192.0.2.1"]);
});
