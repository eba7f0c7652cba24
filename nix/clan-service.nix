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
          description = "Whether clan makes the value: 32 random bytes in base64. It does unless there is a secretPath.";
        };
      } // {
        inherit (vmOptions) credentialFiles;
      };
    };

    perInstance = { instanceName, settings, ... }: {
      nixosModule = { config, lib, pkgs, ... }:
        let
          generator = "microvm-${instanceName}";
          generated = filterAttrs (_: { secretPath, generateSecret, ... }: generateSecret == true || generateSecret == null && secretPath == null) settings.runtimeSecrets;
          clashing = filterAttrs (_: { secretPath, ... }: secretPath != null) generated;
        in
        {
          imports = [ ./host.nix ];

          assertions = map
            (secret: {
              assertion = false;
              message = "instance ${instanceName}: secret \"${secret}\" has a secretPath, and generateSecret; it is one of both";
            })
            (lib.attrNames clashing);

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
            runtimeSecrets = mapAttrs
              (secret: value: removeAttrs value [ "generateSecret" ]
                // lib.optionalAttrs (generated ? ${secret}) { secretPath = config.clan.core.vars.generators.${generator}.files.${secret}.path; })
              settings.runtimeSecrets;
          };
        };
    };
  };
}
