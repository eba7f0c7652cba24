# Of microvm.nix's host module: its option, and what it says of the service of a VM that slicer run takes over.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  anything = default: mkOption { type = types.unspecified; inherit default; };
in
{
  options.microvm.vms = mkOption {
    default = { };
    type = types.attrsOf (types.submodule { options = { flake = anything null; evaluatedConfig = anything null; config = anything null; }; });
  };
  config.systemd.services = lib.mapAttrs'
    (name: _: lib.nameValuePair "microvm@${name}" {
      overrideStrategy = "asDropin";
      path = lib.mkForce [ ];
      serviceConfig.X-RestartIfChanged = [ "" true ];
      serviceConfig.Type = "simple";
    })
    config.microvm.vms;
}
