import { execFileSync } from "node:child_process";
import { createPublicKey } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isVdcError } from "../error/vdc-error.ts";
import { keyIdOf, openEnvelope, preAuthEncoding, signEnvelope } from "./dsse-envelope.ts";
import { dirHash, readPackageFiles } from "./package-digest.ts";
import { CertifiedPackage, createSigner } from "./test/certified-package.ts";
import { verifyCertificate } from "./verify-certificate.ts";

const runs = process.env.VDC_DEEP ? 20_000 : 300;
const signer = createSigner();
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vdc-certificate-"));
});

afterEach(() => rmSync(folder, { recursive: true }));

describe("an envelope", () => {
  const payloadType = "application/vnd.in-toto+json";

  it("signs what DSSE says, to the byte", () => {
    // The example of the DSSE protocol's specification.
    const encoded = preAuthEncoding("http://example.com/HelloWorld", Buffer.from("hello world"));
    expect(encoded.toString()).toBe("DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    expect(preAuthEncoding("t\u00fc", Buffer.from("\u00fc")).toString()).toBe("DSSEv1 3 t\u00fc 2 \u00fc");
  });

  it("is verified by OpenSSL, which knows nothing of this code", () => {
    const { payload, signatures } = signEnvelope(Buffer.from('{"a":"\u00e9"}'), { payloadType, key: signer.key });
    const bytes = Buffer.from(payload, "base64");
    // By hand, and not by the function under test.
    const head = Buffer.from(`DSSEv1 28 application/vnd.in-toto+json ${bytes.length} `, "latin1");
    writeFileSync(join(folder, "pae"), Buffer.concat([head, bytes]));
    writeFileSync(join(folder, "sig"), Buffer.from(signatures[0]?.sig ?? "", "base64"));
    writeFileSync(join(folder, "key.pem"), signer.pem);
    const args = ["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "key.pem", "-in", "pae", "-sigfile", "sig"];
    const said = execFileSync("openssl", args, { cwd: folder, encoding: "utf8" });
    expect(said).toContain("Verified Successfully");
  });

  it("opens for its signer alone, also among others", () => {
    const envelope = signEnvelope(Buffer.from("text"), { payloadType, key: signer.key });
    const opened = openEnvelope(envelope, { payloadType, signers: [createSigner().pem, signer.pem] });
    expect(opened.payload.toString()).toBe("text");
    expect(opened.keyId).toBe(keyIdOf(createPublicKey(signer.pem)));
    const refused = (value: unknown, signers: readonly string[], reason: string): void =>
      expect(() => openEnvelope(value, { payloadType, signers })).toThrow(expect.objectContaining({ reason }));
    refused(envelope, [createSigner().pem], "VDC_CERTIFICATE_SIGNER");
    refused({ ...envelope, payloadType: "text/plain" }, [signer.pem], "VDC_CERTIFICATE_INVALID");
    refused({ ...envelope, signatures: [] }, [signer.pem], "VDC_CERTIFICATE_INVALID");
    refused(envelope, ["no key"], "VDC_CERTIFICATE_INVALID");
  });

  it("is refused whatever one bit of it is changed, with a code and without a crash", async () => {
    await using own = await CertifiedPackage.create();
    const envelope = await own.certify(signer);
    const payload = Buffer.from(envelope.payload, "base64");
    const sig = Buffer.from(envelope.signatures[0]?.sig ?? "", "base64");
    const flipped = (bytes: Buffer, bit: number): string => {
      const copy = Buffer.from(bytes);
      copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      return copy.toString("base64");
    };
    const forged = fc.oneof(
      fc.nat(payload.length * 8 - 1).map((bit) => ({ ...envelope, payload: flipped(payload, bit) })),
      fc.nat(sig.length * 8 - 1).map((bit) => ({ ...envelope, signatures: [{ sig: flipped(sig, bit) }] })),
    );
    fc.assert(
      fc.property(forged, (value) => {
        expect(() => verifyCertificate(value, { signers: [signer.pem] })).toThrow(
          expect.objectContaining({ reason: "VDC_CERTIFICATE_SIGNER" }),
        );
      }),
      { seed: 1, numRuns: runs },
    );
  });

  it("never crashes on anything, signed or not", () => {
    fc.assert(
      fc.property(fc.anything(), fc.jsonValue(), (value, signed) => {
        const payload = Buffer.from(JSON.stringify(signed));
        for (const candidate of [value, signEnvelope(payload, { payloadType, key: signer.key })]) {
          try {
            verifyCertificate(candidate, { signers: [signer.pem] });
            expect.unreachable();
          } catch (error) {
            expect(isVdcError(error)).toBe(true);
          }
        }
      }),
      { seed: 2, numRuns: runs },
    );
  });
});

describe("the digest of a package", () => {
  it("is what find, sort and sha256sum say of its folder", async () => {
    for (const path of ["b.js", "a/z.js", "a.js", "a-b/\u00fc.js", "B.js", "dist/node_modules/kept.js"]) {
      mkdirSync(join(folder, path, ".."), { recursive: true });
      writeFileSync(join(folder, path), path);
    }
    const shell = "find . -type f -printf '%P\\n' | LC_ALL=C sort | xargs -d '\\n' sha256sum | sha256sum";
    const expected = execFileSync("sh", ["-c", shell], { cwd: folder, encoding: "utf8" }).split(" ")[0];
    expect(dirHash(await readPackageFiles(folder))).toBe(expected);
    // What an installer adds or renames is left out.
    mkdirSync(join(folder, "node_modules/dependency"), { recursive: true });
    writeFileSync(join(folder, "node_modules/dependency/index.js"), "");
    writeFileSync(join(folder, ".npmignore"), "");
    expect(dirHash(await readPackageFiles(folder))).toBe(expected);
  });

  it("refuses links", async () => {
    symlinkSync("/etc/hostname", join(folder, "link"));
    await expect(readPackageFiles(folder)).rejects.toMatchObject({ reason: "VDC_CERTIFICATE_DIGEST" });
  });
});
