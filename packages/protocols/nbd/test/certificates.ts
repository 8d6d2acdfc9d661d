import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runTool } from "./tool.ts";

/**
 * Makes a throw-away authority, a server's certificate for `localhost` and 127.0.0.1, and a client's for "tester", in a folder as QEMU
 * and libnbd want it. Needs openssl.
 */
export async function makeCertificates(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const at = (name: string): string => join(folder, name);
  const make = async (name: string, subject: string, extensions: string, signed: boolean): Promise<void> => {
    await writeFile(at(`${name}.cnf`), `[req]\ndistinguished_name=dn\n[dn]\n[ext]\n${extensions}\n`);
    await runTool(
      "openssl",
      ...["req", "-x509", "-config", at(`${name}.cnf`), "-extensions", "ext", "-subj", `/CN=${subject}`, "-days", "2"],
      ...["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
      ...["-keyout", at(`${name}-key.pem`), "-out", at(`${name}-cert.pem`)],
      ...(signed ? ["-CA", at("ca-cert.pem"), "-CAkey", at("ca-key.pem")] : []),
    );
  };
  await make("ca", "test authority", "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign", false);
  const leaf = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature";
  const names = "subjectAltName=DNS:localhost,IP:127.0.0.1";
  await make("server", "localhost", `${leaf}\nextendedKeyUsage=serverAuth\n${names}`, true);
  await make("client", "tester", `${leaf}\nextendedKeyUsage=clientAuth`, true);
}
