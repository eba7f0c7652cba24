# The same as clan.nix, by clan-core itself: its inventory, its services, its vars. What NixOS would have is
# nixos-options.nix.
{ lib, clanCore }:
{ inventory, machine, modules ? [ ] }:
let
  freeform = names: { options = lib.genAttrs names (_: lib.mkOption { type = lib.types.submodule { freeformType = lib.types.lazyAttrsOf lib.types.unspecified; }; default = { }; }); };

  # Of clan's part of a machine: what generators are, and where their files get.
  machineModule = { pkgs, ... }: {
    imports = [ "${clanCore}/nixosModules/clanCore/dependencies.nix" ];
    options.clan.core.settings = lib.mkOption { type = lib.types.unspecified; default = { }; };
    options.clan.core.vars = lib.mkOption {
      default = { };
      type = lib.types.submodule {
        imports = [ "${clanCore}/nixosModules/clanCore/vars/interface.nix" ];
        machineName = machine;
        inherit pkgs;
        settings.fileModule = { config, ... }: { path = "/run/secrets/vars/${config.generatorName}/${config.name}"; };
      };
    };
  };

  self = {
    clanLib = lib.fix (lib.extends (_: _: { clan = import "${clanCore}/lib/clan" { inherit lib; clan-core = self; }; }) (import "${clanCore}/lib" { inherit lib; }).__unfix__);
    clan = { modules = { }; deprecatedModules = [ ]; templates = { }; };
    modules.clan.default = lib.modules.importApply "${clanCore}/modules/clan/default.nix" { clan-core = self; };
    nixosModules.clanCore = machineModule;
    inputs.nixpkgs = { inherit lib; };
    inputs.nix-darwin = { };
  };

  service = (import ../../nix).clan;
  # As a flake has it whose input `slicer` is this one, and which has the service among its own modules besides.
  clan = self.clanLib.clan {
    self = {
      inputs = { slicer.clan = service; self.clan = clan.config; };
      outPath = toString ./.;
    };
    inherit (service) modules;
    directory = toString ./.;
    meta.name = "test";
    inventory = {
      machines = { my-host = { }; other = { }; };
      instances = builtins.mapAttrs (_: instance: instance // { module = { name = "microvm"; input = "slicer"; } // instance.module or { }; }) inventory.instances;
    };
  };
in
import ./evaluate.nix { inherit lib; clanOptions = { }; } (modules ++ [
  clan.config.outputs.moduleForMachine.${machine}
  (freeform [ "networking" ])
])
