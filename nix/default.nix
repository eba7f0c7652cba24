# What this folder is for others: `import <slicer>/nix`.
{
  nixosModules.host = ./host.nix;
  nixosModules.guest = ./guest.nix;
  clan.modules.microvm = ./clan-service.nix;
  inventory = import ./inventory.nix;
}
