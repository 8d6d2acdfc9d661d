/** What `vdc-ready --help` says. */
export const usage = `VDC Ready: certifies plugins of VDC-OS.

  vdc-ready <package>                    certify a folder, a tarball, or the name of an installed package
  vdc-ready key [<file>]                 make a key to sign certificates with (default: vdc-ready.key)
  vdc-ready verify <certificate> --key <public key> [--tarball <file>] [--installed <package>]
  vdc-ready list [<suite>]               what is required: storage, network, compute, cloud, state, secret, backup, host

Of the package
  --pack                                 pack the folder with npm, and certify the tarball, which stays there
  --plugin <module>                      the module that exports the plugin (default: what package.json says)
  --factory <suite>=<module>             the module that makes what the suite certifies (default: "vdcReady" of package.json)
  --waivers <file>                       requirements that are known not to be met (default: vdc-ready.json, if it is there)

Of the run; a part of the requirements certifies nothing
  --transport direct|pipe                over one transport alone
  --level core|extended                  what every implementation must do, or the rest
  --only <beginning of an id>            such as storage.create
  --timeout <milliseconds>               how long a requirement, or an import, may take (default: 30000)

Of the report
  --json <file>  --junit <file>  --html <file>
  --certificate <file> --key <private key>   sign what a tarball's certification found
  --quiet                                the verdict alone

Ends with 0 for success, 3 for partial, 1 for failure, 2 when it could not be tried or told, and 130 when it was interrupted.
`;
