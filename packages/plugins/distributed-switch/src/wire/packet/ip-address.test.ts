import { isIPv6 } from "node:net";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { wireRuns } from "../test/mangled.ts";
import { formatIpAddress, ipAddressBytes } from "./ip-address.ts";

describe("IP addresses", () => {
  it("are written in RFC 5952's form", () => {
    const forms = {
      "2001:DB8:0:0:1:0:0:1": "2001:db8::1:0:0:1",
      "2001:db8:0:1:1:1:1:1": "2001:db8:0:1:1:1:1:1",
      "0:0:0:0:0:0:0:0": "::",
      "0:0:0:0:0:0:0:1": "::1",
      "fe80::": "fe80::",
      "::ffff:192.0.2.1": "::ffff:c000:201",
      "1::3:0:0:0": "1::3:0:0:0",
      "192.0.2.1": "192.0.2.1",
    };
    for (const [text, form] of Object.entries(forms)) expect(formatIpAddress(ipAddressBytes(text))).toBe(form);
  });

  it("round-trip", () => {
    const octets = fc.oneof(fc.constant(0), fc.nat({ max: 255 }));
    const v4 = fc.array(octets, { minLength: 4, maxLength: 4 });
    const v6 = fc.array(octets, { minLength: 16, maxLength: 16 });
    fc.assert(
      fc.property(fc.oneof(v4, v6), (bytes) => {
        const text = formatIpAddress(Buffer.from(bytes));
        expect(isIPv6(text)).toBe(bytes.length === 16);
        expect([...ipAddressBytes(text)]).toEqual(bytes);
      }),
      wireRuns,
    );
  });

  it("are refused when they are none", () => {
    for (const text of ["", "1.2.3", "host", "fe80::1%eth0", "1.2.3.4/24", ":::"]) {
      expect(() => ipAddressBytes(text)).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
    }
    expect(() => formatIpAddress(Buffer.alloc(5))).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  });
});
