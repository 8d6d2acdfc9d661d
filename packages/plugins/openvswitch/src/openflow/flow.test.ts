import { expect, test } from "vitest";
import { encodeInstructions } from "./flow.ts";
import { addressValue, encodeMatch, macValue } from "./match.ts";
import { OpenFlowError } from "./openflow-error.ts";

test("a match is written with its prerequisites first, and padded", () => {
  const match = encodeMatch([
    { field: "ipv4Src", value: addressValue("192.0.2.0"), mask: 0xffff_ff00n },
    { field: "ethType", value: 0x0800n },
    { field: "inPort", value: 3n },
  ]);
  // inPort, ethType, then the address with its mask: 4 + 8 + 6 + 12 octets, and 2 to the next multiple of 8.
  expect(match.toString("hex")).toBe(`0001001e${"8000000400000003"}${"80000a020800"}${"80001708c0000200ffffff00"}0000`);
});

test("equal matches are equal octets, and a mask without bits says nothing", () => {
  const vlan = { field: "vlanVid", value: 0x100an } as const;
  const mac = { field: "ethDst", value: macValue("52:54:00:00:00:01") } as const;
  expect(encodeMatch([vlan, mac])).toEqual(encodeMatch([mac, vlan]));
  expect(encodeMatch([{ field: "ethSrc", value: 1n, mask: 0n }, mac])).toEqual(encodeMatch([mac]));
});

test("bits that a mask leaves out are not sent", () => {
  const field = { field: "ethDst", value: 0xffff_ffff_ffffn, mask: 0xffff_0000_0000n } as const;
  expect(encodeMatch([field]).toString("hex")).toBe(
    "00010014800007 0cffff00000000ffff0000000000000000".replace(" ", ""),
  );
});

test("a value beyond its field is refused", () => {
  expect(() => encodeMatch([{ field: "vlanVid", value: 0x1_0000n }])).toThrow(OpenFlowError);
});

test("addresses are numbers", () => {
  expect(addressValue("10.0.0.255")).toBe(0x0a0000ffn);
  expect(addressValue("2001:db8::1")).toBe(0x20010db8000000000000000000000001n);
  expect(addressValue("::")).toBe(0n);
  expect(addressValue("::ffff:192.0.2.1")).toBe(0xffffc0000201n);
});

test("instructions are a meter, actions and the next table, in this order", () => {
  const bytes = encodeInstructions({
    table: 1,
    priority: 1,
    match: [],
    meter: 5,
    actions: [{ kind: "popVlan" }, { kind: "output", port: 7 }],
    next: 2,
  });
  expect(bytes.toString("hex")).toBe(
    [
      "0006000800000005",
      "0004002000000000",
      "0012000800000000",
      "0000001000000007ffff000000000000",
      "0001000802000000",
    ].join(""),
  );
});

test("actions that no message has room for are refused", () => {
  const actions = Array.from({ length: 5_000 }, (_, port) => ({ kind: "output", port }) as const);
  expect(() => encodeInstructions({ table: 1, priority: 1, match: [], actions })).toThrow("may have 65535");
});
