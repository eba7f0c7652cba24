# A clan service: an instance is a VM on each machine of its role. What it needs made is a generator of
# clan's vars; the rest is host.nix. Nothing here sees a value: clan puts it into a file of the machine, and
# the machine's systemd reads that when the VM starts.
{ lib, ... }:
let
  inherit (lib) escapeShellArg filterAttrs mapAttrs mkIf mkOption types;
  vmOptions = import ./vm-options.nix { inherit lib; };
in
{
  _class = "clan.service";
  manifest.name = "slicer";
  manifest.description = "MicroVMs with secrets that are read when they start";
  manifest.categories = [ "System" ];
  manifest.readme = builtins.readFile ./README.md;

  roles.guest = {
    description = "The machine runs the VM.";

    interface = { lib, ... }: {
      options = vmOptions.vm {
        generateSecret = mkOption {
          type = types.nullOr types.bool;
          default = null;
          description = "Whether clan makes the value: 32 random bytes in base64. It does where there is neither secretPath nor var.";
        };
        var = mkOption {
          type = types.nullOr types.str;
          default = null;
          example = "my-db/password";
          description = "GENERATOR/FILE: the value is a secret file of a generator of the machine's clan.core.vars.";
        };
      } // {
        inherit (vmOptions) credentialFiles;
      };
    };

    perInstance = { instanceName, settings, ... }: {
      nixosModule = { config, lib, pkgs, ... }:
        let
          inherit (config.clan.core.vars) generators;
          generator = "microvm-${instanceName}";
          secrets = settings.runtimeSecrets;

          sourcesOf = { secretPath, var, generateSecret, ... }:
            lib.optional (secretPath != null) "secretPath" ++ lib.optional (var != null) "var" ++ lib.optional (generateSecret == true) "generateSecret";
          isGenerated = { generateSecret, ... }@value: generateSecret == true || generateSecret == null && sourcesOf value == [ ];
          generated = filterAttrs (_: isGenerated) secrets;

          # Its generator and file; null where there are none such.
          fileOfVar = var:
            let parts = builtins.match "([^/]+)/([^/]+)" var; in
            if parts == null then null else generators.${builtins.head parts}.files.${lib.last parts} or null;
          pathOf = name: { secretPath, var, ... }@value:
            if isGenerated value then generators.${generator}.files.${name}.path
            else if var != null then (fileOfVar var).path or null
            else secretPath;

          faultsOf = name: { var, ... }@value:
            lib.optional (builtins.length (sourcesOf value) > 1) "has ${lib.concatStringsSep " and " (sourcesOf value)}; it is one of them"
            ++ lib.optional (var != null && fileOfVar var == null) "has a var that is no GENERATOR/FILE of this machine";
        in
        {
          imports = [ ./host.nix ];

          assertions = lib.concatMap
            (name: map (fault: { assertion = false; message = "instance ${instanceName}: secret \"${name}\" ${fault}"; }) (faultsOf name secrets.${name}))
            (lib.attrNames secrets);

          clan.core.vars.generators = mkIf (generated != { }) {
            ${generator} = {
              files = mapAttrs (_: _: { secret = true; deploy = true; mode = "0400"; }) generated;
              runtimeInputs = [ pkgs.openssl pkgs.coreutils ];
              script = lib.concatMapStringsSep "\n"
                (secret: ''openssl rand -base64 32 | tr -d '\n' > "$out"/${escapeShellArg secret}'')
                (lib.attrNames generated);
            };
          };

          services.slicer.enable = true;
          services.slicer.vms.${instanceName} = settings // {
            runtimeSecrets = mapAttrs (name: value: removeAttrs value [ "generateSecret" "var" ] // { secretPath = pathOf name value; }) secrets;
          };
        };
    };
  };
}
