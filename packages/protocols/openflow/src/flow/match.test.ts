import fc from "fast-check";
import { expect, test } from "vitest";
import { runs } from "../../test/runs.ts";
import { addressValue, bitsOf, type FieldName, macValue } from "./field.ts";
import { decodeMatch, encodeMatch, type FieldMatch, fieldValue } from "./match.ts";

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
  expect(encodeMatch([field]).toString("hex")).toBe(`00010014${"8000070c"}${"ffff00000000"}${"ffff00000000"}00000000`);
});

test("a value beyond its field is refused", () => {
  const refused = expect.objectContaining({ code: "OPENFLOW_INVALID_ARGUMENT" });
  expect(() => encodeMatch([{ field: "vlanVid", value: 0x1_0000n }])).toThrow(refused);
  expect(() => encodeMatch([{ field: "reg0", value: -1n }])).toThrow(refused);
});

test("what is written is read", () => {
  const names = ["inPort", "metadata", "ethDst", "ethType", "vlanVid", "ipv6Src", "ipFrag", "reg7"] as const;
  const field = fc.constantFrom<FieldName>(...names).chain((name) => {
    const all = (1n << BigInt(bitsOf(name))) - 1n;
    return fc.record({
      field: fc.constant(name),
      value: fc.bigInt(0n, all),
      mask: fc.option(fc.bigInt(1n, all), { nil: undefined }),
    });
  });
  fc.assert(
    fc.property(fc.uniqueArray(field, { selector: ({ field: name }) => name }), (made) => {
      const match: readonly FieldMatch[] = made.map(({ mask, ...rest }) =>
        mask === undefined ? rest : { ...rest, mask },
      );
      const read = decodeMatch(encodeMatch(match));
      expect(read.length).toBe(match.length);
      for (const { field: name, value, mask } of match) {
        const all = (1n << BigInt(bitsOf(name))) - 1n;
        expect(fieldValue(read, name)).toBe(value & (mask ?? all));
      }
      expect(encodeMatch(read)).toEqual(encodeMatch(match));
    }),
    { ...runs, numRuns: runs.numRuns / 10 },
  );
});

test("a field that is not known is left out", () => {
  // A field 39 of OpenFlow's own, which no switch of this version has, and a port.
  const match = Buffer.from(`00010012${"80004e02abcd"}${"8000000400000007"}000000000000`, "hex");
  expect(decodeMatch(match)).toEqual([{ field: "inPort", value: 7n }]);
});

test("addresses are numbers", () => {
  expect(addressValue("10.0.0.255")).toBe(0x0a0000ffn);
  expect(addressValue("2001:db8::1")).toBe(0x20010db8000000000000000000000001n);
  expect(addressValue("::")).toBe(0n);
  expect(addressValue("::ffff:192.0.2.1")).toBe(0xffffc0000201n);
  expect(macValue("52:54:00:AB:00:01")).toBe(0x525400ab0001n);
});

test.each(["", "10.0.0", "fe80::1%eth0", "host", "1::2::3"])("'%s' is no address", (text) => {
  expect(() => addressValue(text)).toThrow(expect.objectContaining({ code: "OPENFLOW_INVALID_ARGUMENT" }));
});

test.each(["", "52:54:00:00:00", "52-54-00-00-00-01", "zz:54:00:00:00:01"])("'%s' is no MAC address", (text) => {
  expect(() => macValue(text)).toThrow(expect.objectContaining({ code: "OPENFLOW_INVALID_ARGUMENT" }));
});
